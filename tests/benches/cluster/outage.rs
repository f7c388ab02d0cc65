//! Redis killed, and frozen, under load: what its absence costs each request. PostgreSQL decides and answers all the time; the
//! question is how long anybody waits for a cache that is not there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use greenroom_contract::{
    AgentId, Event, NodeId, TraceId,
    port::{
        llm::{Message, Role},
        state::{Accepted, Arrival, CheckpointKey, Conclusion, Finish, NewCheckpoint, State},
    },
};
use greenroom_state::{PostgresState, RedisTier, Tiered, postgres, redis};
use kit::{
    servers::{Kind, Server, Shared},
    wait,
};
use serde_json::json;

use crate::{Outcome, say};

/// Conversations at a time, and how long each is written and read in each phase.
const CONVERSATIONS: usize = 16;
const PHASE: Duration = Duration::from_secs(4);
/// Of each conversation one turn in so long, so that it is the waiting that is measured and not the queueing.
const PACE: Duration = Duration::from_millis(80);
const WINDOW: u32 = 50;
const AIM_MS: f64 = 50.0;

/// One turn of a conversation: its checkpoint is read, an execution is ended with the next one, and looked at twice.
async fn turn(state: &Arc<dyn State>, agent: &AgentId, conversation: usize) -> Outcome<Duration> {
    let event = Event::new(agent.input_topic(), "bench", TraceId::new(), json!("hello"));
    let claim = Some(NodeId::new("bench"));
    let arrival = Arrival { agent: agent.clone(), version: "v1".to_owned(), event, claim };
    let Accepted::Claimed(claimed) = state.accept(arrival).await? else { return Err("it was not claimed".into()) };
    let fence = claimed.fence;
    let key = CheckpointKey { agent: agent.clone(), conversation: conversation.to_string() };
    let begun = Instant::now();
    let checkpoint = state.checkpoint(&key, WINDOW).await?;
    let append = vec![Message::text(Role::User, "hello"), Message::text(Role::Assistant, "good day")];
    let next = NewCheckpoint { key, replaces: checkpoint.version, data: json!({ "seen": checkpoint.length }), append };
    let conclusion = Conclusion::Succeeded(json!("done"));
    state.finish(fence, Finish { checkpoint: Some(next), ..Finish::of(conclusion) }).await?;
    for _ in 0..2 {
        state.execution(fence.execution).await?.ok_or("it is not shown")?;
    }
    Ok(begun.elapsed())
}

/// The turns of a phase, by their beginning.
async fn phase(state: &Arc<dyn State>, agent: &AgentId, stop: &AtomicBool) -> Outcome<Vec<(Instant, Duration)>> {
    let each = (0..CONVERSATIONS).map(|conversation| async move {
        let mut turns = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            turns.push((began, turn(state, agent, conversation).await?));
            tokio::time::sleep(PACE.saturating_sub(began.elapsed())).await;
        }
        Outcome::Ok(turns)
    });
    let mut turns = try_join_all(each).await?.concat();
    turns.sort();
    Ok(turns)
}

/// Plays a phase while something happens at its beginning.
async fn during(state: &Arc<dyn State>, agent: &AgentId, happens: impl Future<Output = ()>) -> Outcome<Vec<Duration>> {
    let stop = AtomicBool::new(false);
    let (turns, ()) = tokio::join!(phase(state, agent, &stop), async {
        happens.await;
        tokio::time::sleep(PHASE).await;
        stop.store(true, Ordering::Relaxed);
    });
    Ok(turns?.into_iter().map(|(_, took)| took).collect())
}

fn told(what: &str, turns: &[Duration], with: f64) -> f64 {
    let mut sorted: Vec<f64> = turns.iter().map(|turn| turn.as_secs_f64() * 1e3).collect();
    sorted.sort_by(f64::total_cmp);
    let at =
        |share: f64| sorted.get((sorted.len() as f64 * share) as usize).or(sorted.last()).copied().unwrap_or(f64::NAN);
    let (p50, p99, most) = (at(0.5), at(0.99), at(1.0));
    let more = if with.is_nan() {
        String::new()
    } else {
        format!("   slowest {:+.1} ms, aim at most +{AIM_MS} ms", most - with)
    };
    say(&format!(
        "  {what:<20} {:>5} turns  p50 {p50:>6.2} ms  p99 {p99:>6.2} ms  max {most:>6.2} ms{more}",
        turns.len()
    ));
    most
}

pub(crate) async fn measure(servers: &Shared) -> Outcome<()> {
    let (ours, mut cache) = (servers.backends().await, Server::start(Kind::Redis).await);
    let durable = PostgresState::connect(&ours.database.url, postgres::Options::default()).await?;
    let tier = RedisTier::start(cache.url(), redis::Options::default())?;
    let well = async || tier.health().reason.is_none();
    let limit = Duration::from_secs(15);
    wait::until("the hot tier to be up", limit, well).await;
    let state: Arc<dyn State> = Arc::new(Tiered::new(Arc::new(durable), tier.clone()));
    state.heartbeat(&NodeId::new("bench"), Duration::from_secs(3600)).await?;
    let agent: AgentId = "bench".parse()?;
    say(&format!("a cache that goes away under load: {CONVERSATIONS} conversations, a turn of each in {PACE:?}"));
    during(&state, &agent, async {}).await?;
    let with = told("Redis is there", &during(&state, &agent, async {}).await?, f64::NAN);
    told("it is killed", &during(&state, &agent, cache.kill()).await?, with);
    told("it stays away", &during(&state, &agent, async {}).await?, with);
    cache.start_again().await;
    wait::until("the hot tier to be back", limit, well).await;
    told("it is back", &during(&state, &agent, async {}).await?, with);
    told("it is frozen", &during(&state, &agent, async { cache.freeze() }).await?, with);
    cache.thaw();
    wait::until("the hot tier to be back", limit, well).await;
    told("it goes on", &during(&state, &agent, async {}).await?, with);
    Ok(())
}
