//! Housekeeping on one database that several nodes share.
#![expect(clippy::unwrap_used, reason = "a test fails where its store does")]

use std::{sync::Arc, time::Duration};

use greenroom_contract::{
    AgentId, Clock, Event, NodeId, TraceId,
    clock::{from_millis, to_millis},
    page::PageRequest,
    port::state::{Accepted, Arrival, Conclusion, Finish, OutboxOutcome, State, Submission, Swept, Wanted},
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
    let end = Finish::of(conclusion);
    state.finish(claimed.fence, end).await.unwrap();
    event
}

fn one_writer(clock: &Arc<ManualClock>) -> Options {
    Options { time: Time::Given(clock.clone()), writers: 1, readers: 1, ..Options::default() }
}

/// A round of housekeeping, as little as possible at a time. Returns how many executions were deleted.
async fn round(state: &PostgresState, clock: &ManualClock) -> u64 {
    let mut sum = Swept::default();
    loop {
        sum += state.sweep(clock.now(), 1).await.unwrap();
        if !sum.more {
            return sum.executions;
        }
    }
}

#[tokio::test]
async fn one_round_keeps_the_names_of_all_and_the_next_deletes_them() {
    let (database, clock) = (shared().database().await, Arc::new(ManualClock::default()));
    let state = PostgresState::connect(&database.url, one_writer(&clock)).await.unwrap();
    for _ in 0..OLD {
        done(&state, &"support".parse().unwrap()).await;
    }
    for deleted in [0, OLD as u64, 0] {
        clock.advance(Duration::from_secs(61));
        assert_eq!(round(&state, &clock).await, deleted);
    }
}

/// What waits for it came after its name was kept: it is passed over, and goes when nothing waits any more.
#[tokio::test]
async fn one_that_may_not_go_any_more_holds_up_no_other() {
    let (database, clock) = (shared().database().await, Arc::new(ManualClock::default()));
    let state = PostgresState::connect(&database.url, one_writer(&clock)).await.unwrap();
    let agent = "support".parse().unwrap();
    let first = done(&state, &agent).await;
    clock.advance(Duration::from_secs(1));
    done(&state, &agent).await;
    clock.advance(Duration::from_secs(1));
    assert_eq!(round(&state, &clock).await, 0);
    let heard = Event { event_type: "report.made".to_owned(), ..first };
    state.submit(Submission { event: heard, agent: None }).await.unwrap();
    for deleted in [1, 0] {
        clock.advance(Duration::from_secs(61));
        assert_eq!(round(&state, &clock).await, deleted);
    }
    let rows = state.claim_outbox(&NodeId::new("here"), Wanted::Events(10), true).await.unwrap();
    state.settle_outbox(rows.iter().map(|row| (row.id, OutboxOutcome::Published)).collect()).await.unwrap();
    for deleted in [0, 1] {
        clock.advance(Duration::from_secs(61));
        assert_eq!(round(&state, &clock).await, deleted);
    }
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
