//! Answers to people, when their chat is slow.

use futures::future::try_join_all;
use greenroom_contract::{
    AgentId, Event, ExecutionId, NodeId, Priority, ReplyTo, TraceId,
    event::SlackReply,
    port::{
        operator::{Invocation, Operator},
        state::{Accepted, Arrival, Conclusion, Finish, Outgoing, State},
    },
};
use kit::house::{House, World};
use serde_json::json;
use tokio::time::Instant;

use super::agents::{agent, secs};

const PEOPLE: usize = 200;
/// So many answers are on their way at a time.
const AT_ONCE: usize = 64;

fn agent_id() -> AgentId {
    "a".parse().unwrap_or_else(|error| panic!("{error}"))
}

fn channel(n: usize) -> ReplyTo {
    ReplyTo::Slack(SlackReply { channel_id: Some(format!("C{n}")), ..SlackReply::default() })
}

/// So many people ask at once, each in a channel of their own.
async fn all_ask(house: &House) {
    let asked: Result<Vec<ExecutionId>, _> = try_join_all((0..PEOPLE).map(async |n| {
        let invocation = Invocation {
            agent: agent_id(),
            input: json!({ "input": format!("question {n}") }),
            priority: Priority::Normal,
            conversation: None,
            trace_id: TraceId::new(),
            source: "test".to_owned(),
            idempotency_key: None,
            reply_to: Some(channel(n)),
        };
        house.machine.invoke(invocation).await.map(|invoked| invoked.execution_id)
    }))
    .await;
    for id in asked.unwrap_or_else(|error| panic!("{error}")) {
        assert_eq!(house.ended(id).await.status.as_str(), "succeeded");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_chat_holds_up_neither_the_bus_nor_who_works() {
    let world = World::default();
    let house = world.open(&[agent("a", "concurrency: 8"), agent("b", "")]).await;
    world.chat.takes(secs(15));
    all_ask(&house).await;
    for _ in 0..3 {
        let asked = Instant::now();
        assert_eq!(house.ask("b", "hello").await.status.as_str(), "succeeded");
        assert!(asked.elapsed() < secs(2), "it waited {:?} for somebody's chat", asked.elapsed());
    }
    assert!(world.chat.said().len() < PEOPLE, "they are not through");
    house.until("everybody to have an answer", || world.chat.said().len() == PEOPLE).await;
    house.close().await;
}

/// Else whoever starts after a crash, or another node once the lease is over, says it again.
#[tokio::test(start_paused = true)]
async fn what_was_said_is_written_down_however_much_there_is_still_to_say() {
    let world = World::default();
    let trace_id = TraceId::new();
    leave(&world, trace_id).await;
    world.chat.takes(secs(12));
    let house = world.open(&[agent("a", "")]).await;
    for rounds in 1..=3 {
        house.until("a round of answers", || world.chat.said().len() >= rounds * AT_ONCE).await;
        house.pass(secs(1)).await;
        let open = world.state.pending(trace_id).await.unwrap().len();
        assert_eq!(open + world.chat.said().len(), PEOPLE);
    }
    house.until("everybody to have an answer", || world.chat.said().len() == PEOPLE).await;
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_ends_in_order_although_a_chat_is_silent() {
    let world = World::default();
    let trace_id = TraceId::new();
    leave(&world, trace_id).await;
    world.chat.takes(secs(3600));
    let house = world.open(&[agent("a", "")]).await;
    house.pass(secs(1)).await;
    let closed = house.close().await;
    assert!(closed.services, "{closed:?}");
    // Nothing is lost by it.
    world.chat.takes(secs(0));
    let house = world.open(&[agent("a", "")]).await;
    house.until("everybody to have an answer", || world.chat.said().len() == PEOPLE).await;
    house.close().await;
}

/// An execution of the past leaves an answer for each of so many people.
async fn leave(world: &World, trace_id: TraceId) {
    let event = Event::new("agent.input.a", "test", trace_id, json!({}));
    let claim = Some(NodeId::new("sim"));
    let arrival = Arrival { agent: agent_id(), version: "v1".to_owned(), event, claim };
    let Ok(Accepted::Claimed(claimed)) = world.state.accept(arrival).await else { panic!("it is claimed") };
    let reply =
        |n| Outgoing::Reply { to: channel(n), text: format!("answer {n}"), is_error: false, card: None, trace_id };
    let finish = Finish {
        conclusion: Conclusion::Succeeded(json!("done")),
        settle: None,
        checkpoint: None,
        outbox: (0..PEOPLE).map(reply).collect(),
        call: None,
        remembers: Vec::new(),
        plan_run: None,
    };
    world.state.finish(claimed.fence, finish).await.unwrap_or_else(|error| panic!("{error}"));
}
