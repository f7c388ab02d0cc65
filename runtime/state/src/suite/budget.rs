//! Money set aside.

use std::sync::Arc;

use greenroom_contract::{
    Clock, MicroUsd,
    execution::Claimed,
    port::state::{Error, Reservation, Reserved},
    task,
};

use super::{
    Stage,
    stage::{agent, call, node, outcome, retry, secs, succeeded},
};

fn wanted(stage: &Stage, on: &Claimed, seq: u32, amount: i64) -> Reservation {
    Reservation {
        fence: on.fence,
        attempt: on.attempt,
        seq,
        amount: MicroUsd(amount),
        since: stage.clock.now(),
        most: MicroUsd(1000),
    }
}

fn refused(spent: i64, reserved: i64) -> Reserved {
    Reserved::Refused { spent: MicroUsd(spent), reserved: MicroUsd(reserved) }
}

/// What is set aside counts for the agent's other executions until its step is settled; then the price counts.
pub async fn what_is_set_aside_counts_until_it_is_spent(stage: Stage) {
    let support = agent("support");
    let (one, two) = (stage.running(&support, &node("here")).await, stage.running(&support, &node("there")).await);
    let other = stage.running(&agent("other"), &node("here")).await;
    let reserve = async |on: &Claimed, seq, amount| stage.state.reserve(wanted(&stage, on, seq, amount)).await.unwrap();
    assert_eq!(reserve(&one, 0, 700).await, Reserved::Granted);
    assert_eq!(reserve(&two, 0, 301).await, refused(0, 700));
    assert_eq!(reserve(&other, 0, 1000).await, Reserved::Granted, "another agent's money is its own");
    assert_eq!(reserve(&two, 0, 300).await, Reserved::Granted, "all of it may be used");
    // One execution has one reservation: a second takes the place of the first.
    assert_eq!(reserve(&one, 0, 701).await, refused(0, 300));
    assert_eq!(reserve(&one, 0, 600).await, Reserved::Granted);

    stage.state.journal(one.fence, None, Some(call(&one, 0))).await.unwrap();
    assert_eq!(reserve(&two, 0, 401).await, refused(0, 600), "an intended call is not paid yet");
    stage.state.journal(one.fence, Some(outcome(&one, 0, Some(MicroUsd(250)))), None).await.unwrap();
    assert_eq!(reserve(&two, 0, 751).await, refused(250, 0));
    assert_eq!(reserve(&two, 0, 750).await, Reserved::Granted);
}

/// An execution that is over holds nothing; one that waits for another attempt or was interrupted still does.
pub async fn an_end_sets_free_what_was_set_aside(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let (one, two) = (stage.running(&support, &here).await, stage.running(&support, &here).await);
    let reserve = async |on: &Claimed, amount| stage.state.reserve(wanted(&stage, on, 0, amount)).await.unwrap();
    assert_eq!(reserve(&one, 900).await, Reserved::Granted);
    stage.finish(&one, retry(secs(0))).await;
    assert_eq!(reserve(&two, 200).await, refused(0, 900));
    let again = stage.claim_one(&support, &here).await;
    assert_eq!(again.fence.execution, one.fence.execution);
    stage.finish(&again, succeeded()).await;
    assert_eq!(reserve(&two, 200).await, Reserved::Granted);
}

/// What is deleted holds nothing, whoever gets its number after it.
pub async fn a_deleted_execution_holds_nothing(stage: Stage) {
    let (support, other, here) = (agent("support"), agent("other"), node("here"));
    let reserve = async |on: &Claimed, amount| stage.state.reserve(wanted(&stage, on, 0, amount)).await.unwrap();
    let gone = stage.running(&support, &here).await;
    assert_eq!(reserve(&gone, 900).await, Reserved::Granted);
    stage.finish(&gone, succeeded()).await;
    let mut swept = 0;
    for _ in 0..2 {
        stage.clock.advance(secs(61));
        swept += stage.state.sweep(stage.clock.now(), 10).await.unwrap().executions;
    }
    assert_eq!(swept, 1);
    let (next, same) = (stage.running(&other, &here).await, stage.running(&support, &here).await);
    assert_eq!(reserve(&next, 800).await, Reserved::Granted);
    assert_eq!(reserve(&same, 1000).await, Reserved::Granted, "another agent's money counts");
}

/// Money is set aside by the holder of the newest claim only.
pub async fn a_zombie_sets_nothing_aside(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let zombie = stage.running(&support, &here).await;
    stage.state.take_back(&here).await.unwrap();
    let now = stage.claim_one(&support, &here).await;
    assert!(matches!(stage.state.reserve(wanted(&stage, &zombie, 0, 1)).await, Err(Error::Fenced)));
    assert_eq!(stage.state.reserve(wanted(&stage, &now, 0, 1000)).await.unwrap(), Reserved::Granted);
}

/// However many ask at once, they never get more than there is.
pub async fn many_at_once_get_no_more_than_there_is(stage: Stage) {
    let support = agent("support");
    let mut asked = Vec::new();
    for n in 0..40 {
        let on = stage.running(&support, &node(&format!("node-{}", n % 3))).await;
        let (state, wanted) = (Arc::clone(&stage.state), wanted(&stage, &on, 0, 90));
        asked.push(task::spawn("reserve", async move { state.reserve(wanted).await.unwrap() }));
    }
    let mut granted = 0;
    for reserved in asked {
        granted += usize::from(reserved.await.unwrap() == Reserved::Granted);
    }
    assert_eq!(granted, 11, "eleven times 90 fit into 1000");
}

/// A node's account is what its executions' calls cost.
pub async fn a_node_is_told_what_it_spent(stage: Stage) {
    let support = agent("support");
    let morning = stage.clock.now();
    let (mine, theirs) = (stage.running(&support, &node("mine")).await, stage.running(&support, &node("theirs")).await);
    stage.step(&mine, 0, Some(MicroUsd(40))).await;
    stage.step(&theirs, 0, Some(MicroUsd(7))).await;
    stage.finish(&mine, succeeded()).await;
    stage.clock.advance(secs(60));
    let second = stage.running(&support, &node("mine")).await;
    stage.step(&second, 0, Some(MicroUsd(2))).await;
    let spent = async |since| stage.state.spent_by_node(&node("mine"), since).await.unwrap();
    assert_eq!(spent(morning).await, MicroUsd(42));
    assert_eq!(spent(stage.clock.now()).await, MicroUsd(2));
}
