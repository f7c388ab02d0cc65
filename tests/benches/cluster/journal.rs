//! What the journal costs a step: the outcome of the one before and the intention of the next, durable in one commit.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use greenroom_contract::{
    Event, MicroUsd, NodeId, TraceId,
    execution::{Effect, Fence, Intended, Settled, StepKind},
    port::{
        llm::Usage,
        state::{Accepted, Arrival, State},
    },
    status::StepStatus,
};
use greenroom_state::{PostgresState, postgres::Options};
use kit::servers::Shared;
use serde_json::{Value, json};
use sqlx::{PgPool, postgres::PgPoolOptions};

use crate::{
    INPUT, Outcome, say,
    stats::{Round, Summary},
};

const ROUNDS: usize = 5;
/// Executions at a time, and steps of each in one round.
const SIZES: [(usize, u32); 3] = [(1, 300), (16, 100), (64, 40)];
const CONNECTIONS: u32 = 16;

const TABLES: &str = "
    CREATE TABLE executions (id bytea PRIMARY KEY, status text NOT NULL, epoch bigint NOT NULL);
    CREATE TABLE steps (execution bytea NOT NULL, seq int NOT NULL, status text NOT NULL, name text NOT NULL,
        hash text NOT NULL, key text NOT NULL, intended_at timestamptz NOT NULL DEFAULT now(), settled_at timestamptz,
        cost bigint, result bytea, PRIMARY KEY (execution, seq));";
const STEP: &str = "
    WITH mine AS (SELECT id FROM executions WHERE id = $1 AND epoch = 1 AND status = 'running' FOR NO KEY UPDATE),
    settled AS (UPDATE steps SET status = 'settled', settled_at = now(), result = $3, cost = 1 FROM mine
        WHERE execution = mine.id AND seq = $2 - 1)
    INSERT INTO steps (execution, seq, status, name, hash, key)
    SELECT id, $2, 'intended', 'scripted/rules', $4, $5 FROM mine";

pub(crate) async fn measure(servers: &Shared) -> Outcome<()> {
    let (our_database, their_database) = (servers.database().await, servers.database().await);
    let state = PostgresState::connect(&our_database.url, Options::default()).await?;
    let state: Arc<dyn State> = Arc::new(state);
    state.heartbeat(&NodeId::new("bench"), Duration::from_secs(3600)).await?;
    let pool =
        PgPoolOptions::new().max_connections(CONNECTIONS).min_connections(CONNECTIONS).test_before_acquire(false);
    let pool = pool.connect(&their_database.url).await?;
    sqlx::raw_sql(TABLES).execute(&pool).await?;
    ours(&state, 4, 50).await?;
    by_hand(&pool, 4, 50).await?;
    say(&format!(
        "journal, one step (outcome before + intention next, one commit); medians of {ROUNDS} interleaved rounds"
    ));
    for (executions, steps) in SIZES {
        let (mut us, mut them) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            them.push(by_hand(&pool, executions, steps).await?);
            us.push(ours(&state, executions, steps).await?);
        }
        let (us, them) = (Summary::of(&us), Summary::of(&them));
        say(&format!("  {executions:>2} executions at a time   by hand    {them}"));
        say(&format!("                          greenroom  {us}   {:.2} of by hand", us.rate / them.rate));
    }
    Ok(())
}

async fn ours(state: &Arc<dyn State>, executions: usize, steps: u32) -> Outcome<Round> {
    let fences = try_join_all((0..executions).map(|_| begin(state))).await?;
    let start = Instant::now();
    let each = fences.into_iter().map(|fence| async move {
        let mut latencies = Vec::new();
        for seq in 0..steps {
            let settle = seq.checked_sub(1).map(settled);
            let begun = Instant::now();
            state.journal(fence, settle, Some(intended(fence, seq))).await?;
            latencies.push(begun.elapsed());
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(latencies)
    });
    let latencies = try_join_all(each).await?;
    Ok(Round { took: start.elapsed(), latencies: latencies.concat() })
}

async fn begin(state: &Arc<dyn State>) -> Outcome<Fence> {
    let event = Event::new("agent.input.bench", "bench", TraceId::new(), json!({ "input": INPUT }));
    let claim = Some(NodeId::new("bench"));
    let arrival = Arrival { agent: "bench".parse()?, version: "1".to_owned(), event, claim };
    match state.accept(arrival).await? {
        Accepted::Claimed(claimed) => Ok(claimed.fence),
        other => Err(format!("not claimed: {other:?}").into()),
    }
}

fn intended(fence: Fence, seq: u32) -> Intended {
    Intended {
        attempt: 1,
        seq,
        kind: StepKind::Llm,
        name: "scripted/rules".to_owned(),
        request_hash: hash(seq),
        idempotency_key: format!("{}/1/{seq}", fence.execution),
        effect: Effect::None,
    }
}

fn settled(seq: u32) -> Settled {
    let usage = Usage { input: 10, output: 10, ..Usage::default() };
    Settled {
        attempt: 1,
        seq,
        status: StepStatus::Settled,
        result: result(),
        usage: Some(usage),
        cost: Some(MicroUsd(1)),
        duration_ms: 0,
    }
}

fn result() -> Value {
    json!({ "parts": [{ "type": "text", "text": "It is on its way and will arrive tomorrow between ten and twelve." }] })
}

fn hash(seq: u32) -> String {
    format!("{seq:064x}")
}

async fn by_hand(pool: &PgPool, executions: usize, steps: u32) -> Outcome<Round> {
    let mut ids = Vec::new();
    for _ in 0..executions {
        let id = TraceId::new().to_string().into_bytes();
        sqlx::query("INSERT INTO executions (id, status, epoch) VALUES ($1, 'running', 1)")
            .bind(&id)
            .execute(pool)
            .await?;
        ids.push(id);
    }
    let start = Instant::now();
    let each = ids.into_iter().map(|id| async move {
        let mut latencies = Vec::new();
        for seq in 0..steps {
            let begun = Instant::now();
            let result = serde_json::to_vec(&result())?;
            let key = format!("{id:?}/1/{seq}");
            let step = sqlx::query(STEP).bind(&id).bind(i32::try_from(seq)?).bind(result).bind(hash(seq)).bind(key);
            step.execute(pool).await?;
            latencies.push(begun.elapsed());
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(latencies)
    });
    let latencies = try_join_all(each).await?;
    Ok(Round { took: start.elapsed(), latencies: latencies.concat() })
}
