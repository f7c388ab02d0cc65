//! An agent's state, saved and loaded through both tiers: PostgreSQL decides, Redis holds the latest version.
//!
//! By hand, saving is one statement (the execution ends, the state's version moves on by compare-and-set, two messages
//! are added) and then a `SET`; loading asks PostgreSQL for the version and Redis for the rest at the same time, and reads
//! the JSON.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fred::{
    clients::Client,
    interfaces::{ClientLike, KeysInterface},
    types::{Builder, config::Config},
};
use futures::future::try_join_all;
use greenroom_contract::{
    Event, NodeId, TraceId,
    execution::Fence,
    port::{
        llm::{Message, Role},
        state::{Accepted, Arrival, Checkpoint, CheckpointKey, Conclusion, Finish, NewCheckpoint, State},
    },
};
use greenroom_state::{PostgresState, RedisTier, Tiered, postgres, redis};
use kit::{servers::Shared, wait};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{PgPool, Row as _, postgres::PgPoolOptions};

use crate::{
    INPUT, Outcome, say,
    stats::{Round, Summary},
};

const ROUNDS: usize = 5;
/// Conversations at a time, and versions of each in one round.
const SIZES: [(usize, u64); 2] = [(1, 200), (16, 60)];
const LOADS: usize = 300;
const WINDOW: usize = 50;
const CONNECTIONS: u32 = 16;
const AIM: f64 = 0.9;

const TABLES: &str = "
    CREATE TABLE executions (id bytea PRIMARY KEY, status text NOT NULL, epoch bigint NOT NULL, finished_at timestamptz,
        output bytea);
    CREATE TABLE states (id bigint GENERATED ALWAYS AS IDENTITY, name text PRIMARY KEY, version bigint NOT NULL,
        length bigint NOT NULL, data bytea NOT NULL);
    CREATE TABLE messages (state bigint NOT NULL, seq bigint NOT NULL, body bytea NOT NULL, PRIMARY KEY (state, seq));";
const SAVE: &str = "
    WITH mine AS (UPDATE executions SET status = 'succeeded', finished_at = now(), output = $6
        WHERE id = $1 AND epoch = 1 AND status = 'running' RETURNING id),
    next AS (UPDATE states SET version = version + 1, length = length + 2, data = $4 FROM mine
        WHERE name = $2 AND version = $3 RETURNING states.id, length - 2 AS before)
    INSERT INTO messages (state, seq, body) SELECT next.id, before + m.ord - 1, m.body
    FROM next, unnest($5::bytea[]) WITH ORDINALITY AS m (body, ord)";
const VERSION: &str = "SELECT version FROM states WHERE name = $1";

#[derive(Serialize, Deserialize)]
struct Entry {
    version: u64,
    length: u64,
    data: Value,
    messages: Vec<Message>,
}

/// The bare libraries.
struct ByHand {
    pool: PgPool,
    redis: Client,
}

pub(crate) async fn measure(servers: &Shared) -> Outcome<()> {
    let (ours, theirs) = (servers.backends().await, servers.backends().await);
    let durable = PostgresState::connect(&ours.database.url, postgres::Options::default()).await?;
    let tier = RedisTier::start(&ours.redis.url, redis::Options::default())?;
    let limit = Duration::from_secs(10);
    wait::until("the hot tier to be up", limit, async || tier.health().reason.is_none()).await;
    let state: Arc<dyn State> = Arc::new(Tiered::new(Arc::new(durable), tier));
    state.heartbeat(&NodeId::new("bench"), Duration::from_secs(3600)).await?;
    let pool =
        PgPoolOptions::new().max_connections(CONNECTIONS).min_connections(CONNECTIONS).test_before_acquire(false);
    let pool = pool.connect(&theirs.database.url).await?;
    sqlx::raw_sql(TABLES).execute(&pool).await?;
    let redis = Builder::from_config(Config::from_url(&theirs.redis.url)?).build()?;
    redis.init().await?;
    let by_hand = ByHand { pool, redis };

    say(&format!("state through both tiers, {WINDOW} messages in the window; medians of {ROUNDS} interleaved rounds"));
    for (conversations, versions) in SIZES {
        let mut rounds = [const { Vec::new() }; 4];
        // The first is not counted: connections, plans and caches are warm after it.
        for round in 0..=ROUNDS {
            let name = format!("{conversations}-{round}");
            let measured = [
                by_hand.save(&name, conversations, versions).await?,
                save(&state, &name, conversations, versions).await?,
                by_hand.load(&name, conversations).await?,
                load(&state, &name, conversations).await?,
            ];
            for (rounds, measured) in rounds.iter_mut().zip(measured).filter(|_| round > 0) {
                rounds.push(measured);
            }
        }
        let [raw_save, our_save, raw_load, our_load] = rounds.map(|rounds| Summary::of(&rounds));
        for (what, raw, us) in [("save", raw_save, our_save), ("load", raw_load, our_load)] {
            say(&format!("  {what}, {conversations:>2} at a time   by hand    {raw}"));
            say(&format!("                       greenroom  {us}   {:.2} of by hand   aim {AIM}", us.rate / raw.rate));
        }
    }
    Ok(())
}

fn pair(number: u64) -> Vec<Message> {
    vec![
        Message::text(Role::User, format!("{INPUT} ({number})")),
        Message::text(Role::Assistant, "It is on its way and will arrive tomorrow between ten and twelve."),
    ]
}

fn data(number: u64) -> Value {
    json!({ "customer": "Ada", "parcels": [1, 2, 3], "seen": number })
}

fn key(name: &str, conversation: usize) -> Outcome<CheckpointKey> {
    Ok(CheckpointKey { agent: "bench".parse()?, conversation: format!("{name}-{conversation}") })
}

async fn save(state: &Arc<dyn State>, name: &str, conversations: usize, versions: u64) -> Outcome<Round> {
    let mut fences = Vec::new();
    for _ in 0..conversations {
        fences.push(try_join_all((0..versions).map(|_| begin(state))).await?);
    }
    let start = Instant::now();
    let each = fences.into_iter().enumerate().map(|(conversation, fences)| async move {
        let mut latencies = Vec::new();
        for (fence, replaces) in fences.into_iter().zip(0..) {
            let begun = Instant::now();
            let key = key(name, conversation)?;
            let checkpoint = NewCheckpoint { key, replaces, data: data(replaces), append: pair(replaces) };
            let conclusion = Conclusion::Succeeded(json!("ok"));
            let finish = Finish { checkpoint: Some(checkpoint), ..Finish::of(conclusion) };
            state.finish(fence, finish).await?;
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
    match state.accept(Arrival { agent: "bench".parse()?, version: "1".to_owned(), event, claim }).await? {
        Accepted::Claimed(claimed) => Ok(claimed.fence),
        other => Err(format!("not claimed: {other:?}").into()),
    }
}

async fn load(state: &Arc<dyn State>, name: &str, conversations: usize) -> Outcome<Round> {
    let start = Instant::now();
    let each = (0..conversations).map(|conversation| async move {
        let mut latencies = Vec::new();
        for _ in 0..LOADS {
            let begun = Instant::now();
            let found: Checkpoint = state.checkpoint(&key(name, conversation)?, WINDOW as u32).await?;
            if found.messages.len() != WINDOW {
                return Err(format!("{} messages were loaded", found.messages.len()).into());
            }
            latencies.push(begun.elapsed());
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(latencies)
    });
    let latencies = try_join_all(each).await?;
    Ok(Round { took: start.elapsed(), latencies: latencies.concat() })
}

impl ByHand {
    async fn save(&self, name: &str, conversations: usize, versions: u64) -> Outcome<Round> {
        let mut ids = Vec::new();
        for conversation in 0..conversations {
            let insert = sqlx::query("INSERT INTO states (name, version, length, data) VALUES ($1, 0, 0, '')");
            insert.bind(format!("{name}-{conversation}")).execute(&self.pool).await?;
            let mut of_this = Vec::new();
            for _ in 0..versions {
                let id = TraceId::new().to_string().into_bytes();
                let insert = sqlx::query("INSERT INTO executions (id, status, epoch) VALUES ($1, 'running', 1)");
                insert.bind(&id).execute(&self.pool).await?;
                of_this.push(id);
            }
            ids.push(of_this);
        }
        let start = Instant::now();
        let each = ids.into_iter().enumerate().map(|(conversation, ids)| async move {
            let mut latencies = Vec::new();
            let mut window: Vec<Message> = Vec::new();
            for (id, version) in ids.into_iter().zip(0_u64..) {
                let begun = Instant::now();
                let (name, append, data) = (format!("{name}-{conversation}"), pair(version), data(version));
                let bodies: Vec<Vec<u8>> = append.iter().map(serde_json::to_vec).collect::<Result<_, _>>()?;
                let query = sqlx::query(SAVE).bind(id).bind(&name).bind(i64::try_from(version)?);
                let query = query.bind(serde_json::to_vec(&data)?).bind(bodies).bind(serde_json::to_vec("ok")?);
                if query.execute(&self.pool).await?.rows_affected() != 2 {
                    return Err("a state was not saved".into());
                }
                window.extend(append);
                window.drain(..window.len().saturating_sub(WINDOW));
                let length = 2 * (version + 1);
                let entry = Entry { version: version + 1, length, data, messages: window.clone() };
                self.redis.set::<(), _, _>(name, serde_json::to_vec(&entry)?.as_slice(), None, None, false).await?;
                latencies.push(begun.elapsed());
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(latencies)
        });
        let latencies = try_join_all(each).await?;
        Ok(Round { took: start.elapsed(), latencies: latencies.concat() })
    }

    async fn load(&self, name: &str, conversations: usize) -> Outcome<Round> {
        let start = Instant::now();
        let each = (0..conversations).map(|conversation| async move {
            let mut latencies = Vec::new();
            for _ in 0..LOADS {
                let begun = Instant::now();
                let name = format!("{name}-{conversation}");
                let version = sqlx::query(VERSION).bind(&name).fetch_one(&self.pool);
                let (version, bytes) = tokio::join!(version, self.redis.get::<Vec<u8>, _>(&name));
                let entry: Entry = serde_json::from_slice(&bytes?)?;
                if version?.try_get::<i64, _>(0)? != i64::try_from(entry.version)? || entry.messages.len() != WINDOW {
                    return Err("a state was not loaded".into());
                }
                latencies.push(begun.elapsed());
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(latencies)
        });
        let latencies = try_join_all(each).await?;
        Ok(Round { took: start.elapsed(), latencies: latencies.concat() })
    }
}
