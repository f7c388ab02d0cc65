//! How the cost of one event grows with the length of a continuous agent's conversation: it should not.

use std::time::Duration;

use greenroom_contract::{
    Event, NodeId, TraceId,
    port::{
        llm::{Message, Role},
        state::{Accepted, Arrival, CheckpointKey, Conclusion, Finish, NewCheckpoint, State},
    },
};
use greenroom_state::{PostgresState, postgres::Options};
use kit::servers::Shared;
use serde_json::json;

use crate::{
    INPUT, Outcome,
    node::{AGENT, Greenroom},
    say,
    stats::{Round, Summary},
};

const LENGTHS: [usize; 4] = [10, 100, 1000, 10_000];
const ROUNDS: usize = 5;
const EVENTS: usize = 60;

pub(crate) async fn measure(servers: &Shared) -> Outcome<()> {
    let node = Greenroom::start(servers, "execution_mode: continuous").await?;
    let state = PostgresState::connect(&node.backends.database.url, Options::default()).await?;
    for length in LENGTHS {
        grow(&state, length).await?;
        node.one(Some(&name(length))).await?;
    }
    say(&format!(
        "one event of a continuous agent, by the length of its conversation; medians of {ROUNDS} interleaved rounds"
    ));
    let mut rounds: Vec<Vec<Round>> = vec![Vec::new(); LENGTHS.len()];
    for _ in 0..ROUNDS {
        for (length, rounds) in LENGTHS.iter().zip(&mut rounds) {
            let mut round = Round::default();
            for _ in 0..EVENTS {
                let took = node.one(Some(&name(*length))).await?;
                round.latencies.push(took);
                round.took += took;
            }
            rounds.push(round);
        }
    }
    let summaries: Vec<Summary> = rounds.iter().map(|rounds| Summary::of(rounds)).collect();
    for (length, summary) in LENGTHS.iter().zip(&summaries) {
        let times = summary.p50 / summaries[0].p50;
        say(&format!("  {length:>6} messages   {summary}   {times:.2} of the shortest"));
    }
    node.stop().await;
    Ok(())
}

fn name(length: usize) -> String {
    format!("of-{length}")
}

/// Writes a conversation of this length past the node.
async fn grow(state: &PostgresState, length: usize) -> Outcome<()> {
    let bench = NodeId::new("bench");
    state.heartbeat(&bench, Duration::from_secs(60)).await?;
    let event = Event::new("agent.input.clerk", "bench", TraceId::new(), json!({ "input": INPUT }));
    let arrival = Arrival { agent: AGENT.parse()?, version: "1".to_owned(), event, claim: Some(bench) };
    let Accepted::Claimed(claimed) = state.accept(arrival).await? else { return Err("not claimed".into()) };
    let pair = || [Message::text(Role::User, INPUT), Message::text(Role::Assistant, "It arrives tomorrow.")];
    let checkpoint = NewCheckpoint {
        key: CheckpointKey { agent: AGENT.parse()?, conversation: name(length) },
        replaces: 0,
        data: json!({}),
        append: (0..length / 2).flat_map(|_| pair()).collect(),
    };
    let conclusion = Conclusion::Succeeded(json!("ok"));
    let finish = Finish { checkpoint: Some(checkpoint), ..Finish::of(conclusion) };
    Ok(state.finish(claimed.fence, finish).await?)
}
