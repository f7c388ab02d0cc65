//! Housekeeping on one database that several nodes share.
#![expect(clippy::unwrap_used, reason = "a test fails where its store does")]

use std::{sync::Arc, time::Duration};

use greenroom_contract::{
    AgentId, Clock, Event, NodeId, TraceId,
    clock::{from_millis, to_millis},
    page::PageRequest,
    port::state::{Accepted, Arrival, Conclusion, Finish, State, Swept},
};
use greenroom_state::{
    PostgresState,
    postgres::{Options, Time},
    suite::ManualClock,
};
use kit::servers::shared;
use serde_json::json;

const OLD: usize = 40;

async fn done(state: &PostgresState, agent: &AgentId) -> Event {
    let event = Event::new(agent.input_topic(), "test", TraceId::new(), json!("work"));
    let claim = Some(NodeId::new("here"));
    let arrival = Arrival { agent: agent.clone(), version: "v1".to_owned(), event: event.clone(), claim };
    let Accepted::Claimed(claimed) = state.accept(arrival).await.unwrap() else { panic!("it was not claimed") };
    let conclusion = Conclusion::Succeeded(json!("done"));
    let end = Finish { conclusion, settle: None, checkpoint: None, outbox: Vec::new(), remembers: Vec::new() };
    state.finish(claimed.fence, end).await.unwrap();
    event
}

#[tokio::test]
async fn two_nodes_that_clean_up_at_once_delete_each_execution_once() {
    let (database, clock) = (shared().database().await, Arc::new(ManualClock::default()));
    let connect = || {
        PostgresState::connect(
            &database.url,
            Options { time: Time::Given(clock.clone()), writers: 2, readers: 2, ..Options::default() },
        )
    };
    let (one, two) = (connect().await.unwrap(), connect().await.unwrap());
    let agent: AgentId = "support".parse().unwrap();
    let mut events = Vec::new();
    for _ in 0..OLD {
        events.push(done(&one, &agent).await);
    }
    clock.advance(Duration::from_hours(48));
    let young = done(&two, &agent).await;
    let before = from_millis(to_millis(clock.now()) - 86_400_000);
    // One that finds the other at it does nothing: it calls again, as a node does a minute later.
    let clean = async |state: &PostgresState| {
        let mut sum = Swept::default();
        for _ in 0..OLD {
            sum += state.sweep(before, 3).await.unwrap();
        }
        sum.executions
    };
    tokio::join!(clean(&one), clean(&two));
    clock.advance(Duration::from_secs(61));
    let (by_one, by_two) = tokio::join!(clean(&one), clean(&two));
    assert_eq!(by_one + by_two, OLD as u64, "{by_one} and {by_two}");

    let left = one.executions(Default::default(), PageRequest::default()).await.unwrap().items;
    assert_eq!(left.iter().map(|execution| execution.event_id).collect::<Vec<_>>(), [young.event_id]);
    for event in events {
        let arrival = Arrival { agent: agent.clone(), version: "v1".to_owned(), event, claim: None };
        assert!(matches!(two.accept(arrival).await.unwrap(), Accepted::Duplicate(_)));
    }
}
