//! Fencing and cancelling.

use greenroom_contract::{
    Event, ExecutionId, ReplyTo,
    event::SlackReply,
    execution::{Claimed, Failure},
    port::state::{Accepted, Arrival, Error, OutboxOutcome, Outgoing, Release, STOPPED},
    status::ExecutionStatus,
};
use serde_json::json;

use super::{
    Stage,
    stage::{agent, call, end, ended, event_for, node, outcome, retry, secs, succeeded},
};

async fn assert_fenced(stage: &Stage, zombie: &Claimed, why: &str) {
    let (state, fence) = (&stage.state, zombie.fence);
    let refused = [
        ("intend", state.journal(fence, None, Some(call(zombie, 7))).await),
        ("settle", state.journal(fence, Some(outcome(zombie, 0, None)), None).await),
        ("nothing", state.journal(fence, None, None).await),
        ("succeed", state.finish(fence, end(succeeded())).await),
        ("retry", state.finish(fence, end(retry(secs(1)))).await),
        ("end", state.finish(fence, end(ended(ExecutionStatus::Failed))).await),
        ("release", state.release(fence, Release::Unfinished).await),
        ("crash", state.release(fence, Release::Crashed).await),
    ];
    for (write, answer) in refused {
        assert!(matches!(answer, Err(Error::Fenced)), "{write} passed although {why}: {answer:?}");
    }
}

/// Once another claim was made, and also between the loss of one claim and the next.
pub async fn a_lost_claim_is_fenced_in_every_write(stage: Stage) {
    let (support, heir) = (agent("support"), node("heir"));
    let zombie = stage.running(&support, &node("zombie")).await;
    stage.state.journal(zombie.fence, None, Some(call(&zombie, 0))).await.unwrap();
    stage.state.take_back(&node("zombie")).await.unwrap();
    assert_fenced(&stage, &zombie, "it was taken back").await;
    let found = stage.claim_one(&support, &heir).await;
    assert_fenced(&stage, &zombie, "another node claimed it").await;

    assert_eq!(found.journal.len(), 1, "a zombie's step was written");
    stage.state.journal(found.fence, Some(outcome(&found, 0, None)), None).await.unwrap();
    stage.finish(&found, succeeded()).await;
    let shown = stage.shown(found.fence.execution).await;
    assert_eq!((shown.status, shown.crashes, shown.epoch), (ExecutionStatus::Succeeded, 1, 2));
}

/// Every end fences the claim that made it, too.
pub async fn a_finished_execution_is_fenced(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    for conclusion in [succeeded(), retry(secs(1)), ended(ExecutionStatus::TimedOut)] {
        let claimed = stage.running(&support, &here).await;
        stage.finish(&claimed, conclusion).await;
        assert_fenced(&stage, &claimed, "it had ended").await;
    }
}

/// Queued or running, it ends now; whoever works on it hears of it at the next write; what has ended stays as it is.
pub async fn a_cancelled_execution_is_fenced_and_shown(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let reason = || Failure::new("cancelled", "an operator cancelled it");
    let queued = stage.arrive(&support, event_for(&support, json!(1))).await;
    assert!(stage.state.cancel(queued, reason()).await.unwrap());
    assert!(stage.claim(&support, &here, 10).await.is_empty(), "a cancelled execution was claimed");
    assert!(!stage.state.cancel(queued, reason()).await.unwrap(), "cancelled twice");

    let running = stage.running(&support, &here).await;
    stage.state.journal(running.fence, None, Some(call(&running, 0))).await.unwrap();
    assert!(stage.state.cancel(running.fence.execution, reason()).await.unwrap());
    assert_fenced(&stage, &running, "it was cancelled").await;
    assert_eq!(stage.state.take_back(&here).await.unwrap(), 0);
    assert_eq!(stage.shown(running.fence.execution).await.epoch, 2, "the claim's epoch stands");

    for id in [queued, running.fence.execution] {
        let shown = stage.shown(id).await;
        assert_eq!((shown.status, shown.error), (ExecutionStatus::Cancelled, Some(reason())));
        assert!(shown.finished_at.is_some());
    }
    let done = stage.running(&support, &here).await;
    stage.finish(&done, succeeded()).await;
    assert!(!stage.state.cancel(done.fence.execution, reason()).await.unwrap());
    assert_eq!(stage.shown(done.fence.execution).await.status, ExecutionStatus::Succeeded);
}

/// Who asked for it in Slack is told, once, where the answer would have come; other callers are not.
pub async fn who_asked_in_slack_is_told_of_a_cancel(stage: Stage) {
    let support = agent("support");
    let reason = || Failure::new("cancelled", "an operator cancelled it");
    let to = ReplyTo::Slack(SlackReply { channel_id: Some("C1".to_owned()), ..SlackReply::default() });
    let path = vec![agent("chief")];
    let caller = ReplyTo::Caller { path, person: Some(Box::new(SlackReply::default())) };
    for (reply_to, told) in [(Some(to.clone()), true), (Some(caller), false), (None, false)] {
        let id = stage.arrive(&support, Event { reply_to, ..event_for(&support, json!("work")) }).await;
        assert!(stage.state.cancel(id, reason()).await.unwrap());
        assert!(!stage.state.cancel(id, reason()).await.unwrap());
        let due = stage.due().await;
        let replies: Vec<_> = due
            .iter()
            .filter_map(|row| match &row.outgoing {
                Outgoing::Reply { to, text, card: None, .. } => Some((to.clone(), text.as_str())),
                _ => None,
            })
            .collect();
        let wanted = if told { vec![(to.clone(), STOPPED)] } else { Vec::new() };
        assert_eq!(replies, wanted);
        stage.settle(&due, OutboxOutcome::Delivered).await;
    }
}

/// What a door took is cancelled before it reaches the inbox; its delivery, which may be under way, does not run it.
pub async fn a_cancelled_submission_never_runs(stage: Stage) {
    let support = agent("support");
    let event = stage.submit(&support, json!(1)).await.event;
    stage.settle(&stage.due().await, OutboxOutcome::Published).await;
    let id = ExecutionId::of(&support, event.event_id);
    assert!(stage.state.cancel(id, Failure::new("cancelled", "not needed any more")).await.unwrap());
    assert_eq!(stage.shown(id).await.status, ExecutionStatus::Cancelled);
    assert!(!stage.has_pending(event.trace_id).await);
    let late = Arrival { agent: support, version: "v1".to_owned(), event, claim: Some(node("here")) };
    assert!(matches!(stage.state.accept(late).await.unwrap(), Accepted::Duplicate(_)));
    assert_eq!(stage.shown(id).await.status, ExecutionStatus::Cancelled);
}
