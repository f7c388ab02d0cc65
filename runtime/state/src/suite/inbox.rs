//! The inbox.

use greenroom_contract::{
    Event, ExecutionId,
    clock::{Clock, to_millis},
    port::state::{Accepted, Arrival},
    status::ExecutionStatus,
};
use serde_json::json;

use super::{
    Stage,
    stage::{agent, event_for, fact, node, retry, secs, succeeded},
};

/// A second delivery is a duplicate, whatever became of the first; another agent has an execution of its own.
pub async fn an_event_reaches_each_agents_inbox_once(stage: Stage) {
    let (a, b) = (agent("a"), agent("b"));
    let event = fact("report.made");
    let id = stage.arrive(&a, event.clone()).await;
    assert_eq!(id, ExecutionId::of(&a, event.event_id));
    let again = async |claim| {
        let arrival = Arrival { agent: a.clone(), version: "v2".to_owned(), event: event.clone(), claim };
        let answer = stage.state.accept(arrival).await.unwrap();
        assert!(matches!(answer, Accepted::Duplicate(found) if found == id), "got {answer:?}");
    };
    again(None).await;
    again(Some(node("n"))).await;
    assert_eq!(stage.shown(id).await.status, ExecutionStatus::Queued, "a duplicate was claimed");
    let claimed = stage.claim_one(&a, &node("n")).await;
    assert_eq!((claimed.version.as_str(), &claimed.event), ("v1", &event));
    again(None).await;
    stage.finish(&claimed, succeeded()).await;
    again(Some(node("n"))).await;
    assert!(stage.claim(&a, &node("n"), 10).await.is_empty());

    assert_ne!(stage.arrive(&b, event).await, id);
}

/// One commit for arrival and claim; it is the node's own like any other claim.
pub async fn an_arrival_can_be_claimed_at_once(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let claimed = stage.running(&support, &here).await;
    assert_eq!((claimed.attempt, claimed.crashes, claimed.fence.epoch), (1, 0, 1));
    assert!(claimed.journal.is_empty());
    let shown = stage.shown(claimed.fence.execution).await;
    assert_eq!((shown.status, shown.node, shown.attempt), (ExecutionStatus::Running, Some(here.clone()), 1));
    assert_eq!(shown.started_at, Some(stage.clock.now()));
    assert!(stage.claim(&support, &here, 10).await.is_empty(), "a node claimed what it works on");
    stage.step(&claimed, 0, None).await;
    stage.finish(&claimed, succeeded()).await;
}

/// Only what is queued counts; the earliest moment is told also when it lies ahead.
pub async fn the_backlog_counts_what_waits_and_says_when(stage: Stage) {
    let support = agent("support");
    assert_eq!(stage.state.backlog(&support).await.unwrap(), (0, None));
    let claimed = stage.running(&support, &node("a")).await;
    assert_eq!(stage.state.backlog(&support).await.unwrap(), (0, None));
    stage.finish(&claimed, retry(secs(30))).await;
    let due = to_millis(stage.clock.now()) + 30_000;
    let (waiting, first) = stage.state.backlog(&support).await.unwrap();
    assert_eq!((waiting, first.map(to_millis)), (1, Some(due)));

    let event: Event = event_for(&support, json!(1));
    stage.arrive(&support, event).await;
    assert_eq!(stage.state.backlog(&support).await.unwrap(), (2, Some(stage.clock.now())));
    assert_eq!(stage.state.backlog(&agent("other")).await.unwrap(), (0, None));
}
