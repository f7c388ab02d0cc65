//! Claims and leases.

use std::{collections::HashSet, time::Duration};

use greenroom_contract::{
    Event, NodeId, Priority,
    port::state::{Claim, LEFT_TO_THE_QUEUE, Release},
    status::ExecutionStatus,
};
use serde_json::json;

use super::{
    Stage,
    stage::{agent, event_for, node, retry, secs, succeeded},
};

/// Of what is due, the urgent goes first; within one priority, the earlier.
pub async fn higher_priority_comes_first_then_older(stage: Stage) {
    let support = agent("support");
    let priorities = [Priority::Normal, Priority::Low, Priority::Critical, Priority::High, Priority::Normal];
    for (n, priority) in priorities.into_iter().enumerate() {
        stage.arrive(&support, Event { priority, ..event_for(&support, json!(n)) }).await;
    }
    let order = |claimed: &[greenroom_contract::execution::Claimed]| {
        claimed.iter().map(|claimed| claimed.event.payload.as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(order(&stage.claim(&support, &node("a"), 2).await), [2, 3]);
    assert_eq!(order(&stage.claim(&support, &node("a"), 10).await), [0, 4, 1]);
}

/// Neither more than asked for nor what is another agent's.
pub async fn a_claim_takes_no_more_than_its_limit_and_no_other_agents(stage: Stage) {
    let (support, sales) = (agent("support"), agent("sales"));
    for n in 0..3 {
        stage.arrive(&support, event_for(&support, json!(n))).await;
    }
    stage.arrive(&sales, event_for(&sales, json!("other"))).await;
    assert!(stage.claim(&support, &node("a"), 0).await.is_empty());
    assert_eq!(stage.claim(&support, &node("a"), 2).await.len(), 2);
    let rest = stage.claim(&support, &node("a"), 10).await;
    assert_eq!((rest.len(), &rest[0].agent), (1, &support));
}

/// One at a time, in order of arrival whatever the priority, and nothing while an earlier one runs or waits.
pub async fn ordered_claims_wait_for_the_earlier_one(stage: Stage) {
    let (talk, here) = (agent("talk"), node("here"));
    let first = stage.arrive(&talk, event_for(&talk, json!(1))).await;
    let urgent = Event { priority: Priority::Critical, ..event_for(&talk, json!(2)) };
    let second = stage.arrive(&talk, urgent).await;

    let claimed = stage.claim_in_order(&talk, &here).await.unwrap();
    assert_eq!(claimed.fence.execution, first);
    assert!(stage.claim_in_order(&talk, &here).await.is_none(), "the first still runs");
    stage.finish(&claimed, retry(secs(10))).await;
    assert!(stage.claim_in_order(&talk, &here).await.is_none(), "the first waits for its retry");
    stage.clock.advance(secs(10));
    let claimed = stage.claim_in_order(&talk, &here).await.unwrap();
    assert_eq!((claimed.fence.execution, claimed.attempt), (first, 2));
    stage.finish(&claimed, succeeded()).await;
    assert_eq!(stage.claim_in_order(&talk, &here).await.unwrap().fence.execution, second);
}

/// The new owner finishes what the dead one had begun before it takes more.
pub async fn an_ordered_claim_takes_over_a_dead_nodes_execution_first(stage: Stage) {
    let talk = agent("talk");
    let first = stage.arrive(&talk, event_for(&talk, json!(1))).await;
    stage.arrive(&talk, event_for(&talk, json!(2))).await;
    stage.state.heartbeat(&node("dead"), secs(4)).await.unwrap();
    stage.claim_in_order(&talk, &node("dead")).await.unwrap();
    assert!(stage.claim_in_order(&talk, &node("heir")).await.is_none(), "its owner lives");
    stage.clock.advance(secs(5));
    let claimed = stage.claim_in_order(&talk, &node("heir")).await.unwrap();
    assert_eq!((claimed.fence.execution, claimed.crashes, claimed.fence.epoch), (first, 1, 2));
}

/// However they race: each row goes to one of them, and all rows go.
pub async fn two_nodes_never_claim_the_same_execution(stage: Stage) {
    const ALL: usize = 60;
    let (support, a, b) = (agent("support"), node("a"), node("b"));
    for node in [&a, &b] {
        stage.state.heartbeat(node, secs(4)).await.unwrap();
    }
    for n in 0..ALL {
        stage.arrive(&support, event_for(&support, json!(n))).await;
    }
    let mut claimed = Vec::new();
    while claimed.len() < ALL {
        let (one, two, three, four) = tokio::join!(
            stage.claim(&support, &a, 4),
            stage.claim(&support, &b, 3),
            stage.claim(&support, &a, 2),
            stage.claim(&support, &b, 1),
        );
        let before = claimed.len();
        claimed.extend([one, two, three, four].into_iter().flatten().map(|claimed| claimed.fence.execution));
        assert!(claimed.len() > before, "only {before} of {ALL} were ever given");
    }
    assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), ALL, "an execution was given twice");
    assert!(stage.claim(&support, &a, 10).await.is_empty());
}

/// Not while its lease runs; then by another node, as a crash, under a new epoch. A node that never had a lease is dead.
pub async fn a_dead_nodes_executions_are_claimed_as_crashed(stage: Stage) {
    let (support, heir) = (agent("support"), node("heir"));
    stage.state.heartbeat(&node("dead"), secs(4)).await.unwrap();
    let lost = stage.running(&support, &node("dead")).await;
    stage.clock.advance(secs(3));
    stage.state.heartbeat(&node("dead"), secs(4)).await.unwrap();
    stage.clock.advance(secs(4));
    assert!(stage.claim(&support, &heir, 10).await.is_empty(), "its lease was renewed and still runs");
    stage.clock.advance(secs(1));
    let found = stage.claim_one(&support, &heir).await;
    assert_eq!(found.fence.execution, lost.fence.execution);
    assert_eq!((found.attempt, found.crashes, found.fence.epoch), (1, 1, 2));
    assert_eq!(stage.shown(found.fence.execution).await.node, Some(heir.clone()));
    stage.finish(&found, succeeded()).await;

    stage.running(&support, &node("never-had-a-lease")).await;
    assert_eq!(stage.claim_one(&support, &heir).await.crashes, 1);
}

/// What another node lost is left to it unless it is asked for, in order and without.
pub async fn a_claim_takes_what_was_lost_only_if_asked_to(stage: Stage) {
    let (support, heir) = (agent("support"), node("heir"));
    stage.running(&support, &node("never-had-a-lease")).await;
    for ordered in [false, true] {
        let claim = Claim { node: heir.clone(), agent: support.clone(), limit: 10, ordered, lost: false, here: true };
        assert!(stage.state.claim(claim).await.unwrap().is_empty());
    }
    stage.arrive(&support, event_for(&support, json!("waits"))).await;
    let claim =
        Claim { node: heir.clone(), agent: support.clone(), limit: 10, ordered: false, lost: false, here: true };
    assert_eq!(stage.state.claim(claim).await.unwrap().len(), 1, "what waits is anybody's");
    assert_eq!(stage.claim_in_order(&support, &heir).await.map(|found| found.crashes), Some(1));
}

/// At once, without waiting for the lease of the process that died; others' stay others'.
pub async fn a_restarted_node_takes_its_own_back_at_once(stage: Stage) {
    let (support, here, there) = (agent("support"), node("here"), node("there"));
    for node in [&here, &there] {
        stage.state.heartbeat(node, secs(60)).await.unwrap();
    }
    let own = stage.running(&support, &here).await;
    stage.running(&support, &there).await;
    assert_eq!(stage.state.take_back(&here).await.unwrap(), 1);
    assert_eq!(stage.shown(own.fence.execution).await.status, ExecutionStatus::Queued);
    let again = stage.claim_one(&support, &here).await;
    assert_eq!(again.fence.execution, own.fence.execution);
    assert_eq!((again.attempt, again.crashes, again.fence.epoch), (1, 1, 2));
    assert_eq!(stage.state.take_back(&node("new")).await.unwrap(), 0);
}

/// Given back on purpose it is no crash; given back because its task died it is one. Attempt and journal stay.
pub async fn a_released_execution_goes_on_in_the_same_attempt(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let claimed = stage.running(&support, &here).await;
    stage.step(&claimed, 0, None).await;
    stage.state.release(claimed.fence, Release::Unfinished).await.unwrap();
    let again = stage.claim_one(&support, &here).await;
    assert_eq!((again.attempt, again.crashes, again.journal.len()), (1, 0, 1));
    stage.state.release(again.fence, Release::Crashed).await.unwrap();
    let again = stage.claim_one(&support, &here).await;
    assert_eq!((again.attempt, again.crashes, again.journal.len()), (1, 1, 1));
    assert_eq!(again.fence.epoch, 3);
}

/// It stays where the queue leads as long as somebody there takes it; it waits for nobody in vain.
pub async fn what_waits_in_order_is_left_to_the_node_that_the_queue_leads_to(stage: Stage) {
    let (chat, here, other) = (agent("chat"), node("here"), node("other"));
    for node in [&here, &other] {
        stage.state.heartbeat(node, secs(3600)).await.unwrap();
    }
    let claim = async |node: &NodeId, led: bool| {
        let claim = Claim { node: node.clone(), agent: chat.clone(), limit: 1, ordered: true, lost: true, here: led };
        stage.state.claim(claim).await.unwrap().pop()
    };
    for n in 0..4 {
        stage.arrive(&chat, event_for(&chat, json!(n))).await;
    }
    assert!(claim(&other, false).await.is_none());
    let first = claim(&here, true).await.unwrap();
    stage.clock.advance(secs(60));
    stage.finish(&first, succeeded()).await;
    // However long the next one has waited, its turn has just begun.
    assert!(claim(&other, false).await.is_none());
    stage.clock.advance(LEFT_TO_THE_QUEUE - Duration::from_millis(1));
    assert!(claim(&other, false).await.is_none());
    stage.clock.advance(Duration::from_millis(1));
    let second = claim(&other, false).await.unwrap();
    assert_eq!(second.event.payload, json!(1));

    // What a node gave back is its own to take up again, and everybody's once it has left.
    stage.state.release(second.fence, Release::Unfinished).await.unwrap();
    let again = claim(&other, false).await.unwrap();
    assert_eq!(again.fence.execution, second.fence.execution);
    stage.state.leave(&other).await.unwrap();
    assert_eq!(claim(&here, false).await.unwrap().fence.execution, second.fence.execution);
}
