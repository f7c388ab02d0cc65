//! Nodes of a cluster: who has work, who leaves, who is held back.

use greenroom_contract::{port::state::Conclusion, status::ExecutionStatus};
use serde_json::json;

use super::stage::{Stage, agent, event_for, node, retry, secs, succeeded};

/// One question tells of every agent with something to claim: queued and due, or lost with its node. What is not due yet,
/// what a living node works on and what has ended is nobody's.
pub async fn who_has_work_to_claim_is_known_in_one_question(stage: Stage) {
    let (due, later, lost, busy, done) = (agent("due"), agent("later"), agent("lost"), agent("busy"), agent("done"));
    let (alive, dead) = (node("alive"), node("dead"));
    stage.state.heartbeat(&dead, secs(4)).await.unwrap();
    stage.arrive(&due, event_for(&due, json!(1))).await;
    stage.arrive(&due, event_for(&due, json!(2))).await;
    let waiting = stage.running(&later, &alive).await;
    stage.finish(&waiting, retry(secs(60))).await;
    let ended = stage.running(&done, &alive).await;
    stage.finish(&ended, succeeded()).await;
    stage.running(&lost, &dead).await;
    stage.clock.advance(secs(5));
    stage.state.heartbeat(&alive, secs(100)).await.unwrap();
    stage.running(&busy, &alive).await;
    assert_eq!(stage.state.due_agents(100).await.unwrap(), [due.clone(), lost.clone()]);
    assert_eq!(stage.state.due_agents(1).await.unwrap().len(), 1);
    stage.clock.advance(secs(60));
    assert_eq!(stage.state.due_agents(100).await.unwrap(), [due, later, lost]);
}

/// At once and not as a crash; the journal stays, and nobody waits for the lease to run out.
pub async fn a_node_that_leaves_gives_back_what_it_holds(stage: Stage) {
    let (support, leaving, heir) = (agent("support"), node("leaving"), node("heir"));
    for node in [&leaving, &heir] {
        stage.state.heartbeat(node, secs(60)).await.unwrap();
    }
    let held = stage.running(&support, &leaving).await;
    stage.step(&held, 0, None).await;
    let kept = stage.running(&support, &heir).await;
    assert_eq!(stage.state.leave(&leaving).await.unwrap(), 1);
    assert_eq!(stage.shown(held.fence.execution).await.status, ExecutionStatus::Queued);
    let again = stage.claim_one(&support, &heir).await;
    assert_eq!(again.fence.execution, held.fence.execution);
    assert_eq!((again.attempt, again.crashes, again.journal.len()), (1, 0, 1));
    // Late words of the one that left are refused, the heir's own work was not touched.
    let late = stage.state.finish(held.fence, super::stage::end(Conclusion::Succeeded(json!("late")))).await;
    assert!(late.is_err());
    stage.finish(&kept, succeeded()).await;
    assert_eq!(stage.state.leave(&node("nobody")).await.unwrap(), 0);
}

/// By name; one that left is not there, one whose lease ran out is shown as not alive.
pub async fn leases_are_listed_with_who_is_alive(stage: Stage) {
    for name in ["b", "a", "c"] {
        stage.state.heartbeat(&node(name), secs(4)).await.unwrap();
    }
    stage.state.leave(&node("c")).await.unwrap();
    stage.clock.advance(secs(3));
    stage.state.heartbeat(&node("a"), secs(4)).await.unwrap();
    stage.clock.advance(secs(3));
    let leases = stage.state.nodes().await.unwrap();
    let seen: Vec<(&str, bool)> = leases.iter().map(|lease| (lease.node.as_str(), lease.alive)).collect();
    assert_eq!(seen, [("a", true), ("b", false)]);
    assert!(leases[0].until > leases[1].until);
}

/// Holding back and letting go may be said twice.
pub async fn an_agent_is_held_back_until_it_is_let_go(stage: Stage) {
    let (one, other) = (agent("one"), agent("other"));
    for _ in 0..2 {
        stage.state.set_paused(&one, true).await.unwrap();
    }
    stage.state.set_paused(&other, true).await.unwrap();
    assert_eq!(stage.state.paused().await.unwrap(), [one.clone(), other.clone()]);
    for _ in 0..2 {
        stage.state.set_paused(&one, false).await.unwrap();
    }
    assert_eq!(stage.state.paused().await.unwrap(), [other]);
}
