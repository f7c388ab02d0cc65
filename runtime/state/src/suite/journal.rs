//! The journal and the account.

use std::time::Duration;

use greenroom_contract::{
    Clock, MicroUsd,
    execution::{Effect, Intended, Settled, StepKind},
    port::state::Error,
    status::StepStatus,
};
use serde_json::json;

use super::{
    Stage,
    stage::{agent, call, node, outcome, retry, secs, succeeded},
};

/// After a crash: settled steps with their results, the interrupted one as intended, and the money that is not paid again.
pub async fn a_resume_finds_its_journal_and_counts_what_it_saves(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let claimed = stage.running(&support, &here).await;
    stage.step(&claimed, 0, Some(MicroUsd(300))).await;
    stage.step(&claimed, 1, None).await;
    let interrupted = Intended { kind: StepKind::Tool, effect: Effect::AtMostOnce, ..call(&claimed, 2) };
    stage.state.journal(claimed.fence, None, Some(interrupted.clone())).await.unwrap();
    assert_eq!(stage.shown(claimed.fence.execution).await.saved, None);

    for crash in 1..=2 {
        stage.state.take_back(&here).await.unwrap();
        let resumed = stage.claim_one(&support, &here).await;
        assert_eq!((resumed.attempt, resumed.crashes), (1, crash));
        let [first, second, third] = &resumed.journal[..] else { panic!("{:?}", resumed.journal) };
        assert_eq!(
            (first.seq, first.status, first.result.clone()),
            (0, StepStatus::Settled, Some(json!({ "answer": 0 })))
        );
        assert_eq!((first.usage.unwrap().input, first.cost, first.duration_ms), (10, Some(MicroUsd(300)), Some(7)));
        assert_eq!((second.seq, second.cost, second.replays), (1, None, crash));
        assert_eq!((third.seq, third.status, third.result.clone()), (2, StepStatus::Intended, None));
        assert_eq!((third.kind, third.effect), (StepKind::Tool, Effect::AtMostOnce));
        assert_eq!(third.request_hash, interrupted.request_hash);
        assert_eq!(third.idempotency_key, interrupted.idempotency_key);
        assert_eq!((first.replays, third.replays), (crash, 0));
    }
    let shown = stage.shown(claimed.fence.execution).await;
    assert_eq!((shown.cost, shown.saved), (Some(MicroUsd(300)), Some(MicroUsd(600))));
    let spent = stage.spent(&support, stage.clock.now()).await;
    assert_eq!((spent.calls, spent.cost), (2, MicroUsd(300)), "a replay was counted as spent");
}

/// If the next intention is refused, the outcome before it is not written either.
pub async fn settle_and_intend_are_one_commit(stage: Stage) {
    let claimed = stage.running(&agent("support"), &node("here")).await;
    stage.state.journal(claimed.fence, None, Some(call(&claimed, 0))).await.unwrap();
    stage.state.journal(claimed.fence, None, Some(call(&claimed, 1))).await.unwrap();
    let changed = Intended { request_hash: "another".to_owned(), ..call(&claimed, 1) };
    let refused = stage.state.journal(claimed.fence, Some(outcome(&claimed, 0, None)), Some(changed)).await;
    assert!(matches!(refused, Err(Error::Conflict { .. })));
    let statuses = async || {
        let steps = stage.state.steps(claimed.fence.execution).await.unwrap();
        steps.iter().map(|step| step.status).collect::<Vec<_>>()
    };
    assert_eq!(statuses().await, [StepStatus::Intended, StepStatus::Intended]);
    stage.state.journal(claimed.fence, Some(outcome(&claimed, 0, None)), Some(call(&claimed, 2))).await.unwrap();
    assert_eq!(statuses().await, [StepStatus::Settled, StepStatus::Intended, StepStatus::Intended]);
}

/// The same call after a crash is written again, under its first key; another call at its place is a fault.
pub async fn an_intention_is_repeated_but_never_changed(stage: Stage) {
    let claimed = stage.running(&agent("support"), &node("here")).await;
    let intend = async |step| stage.state.journal(claimed.fence, None, Some(step)).await;
    intend(call(&claimed, 0)).await.unwrap();
    let before = stage.clock.now();
    stage.clock.advance(secs(5));
    intend(Intended { idempotency_key: "another key".to_owned(), ..call(&claimed, 0) }).await.unwrap();
    let steps = stage.state.steps(claimed.fence.execution).await.unwrap();
    assert_eq!(steps.len(), 1);
    assert!(steps[0].intended_at > before);
    assert_eq!(steps[0].idempotency_key, call(&claimed, 0).idempotency_key);

    let changed = Intended { request_hash: "another".to_owned(), ..call(&claimed, 0) };
    assert!(matches!(intend(changed).await, Err(Error::Conflict { .. })));
    stage.state.journal(claimed.fence, Some(outcome(&claimed, 0, None)), None).await.unwrap();
    assert!(
        matches!(intend(call(&claimed, 0)).await, Err(Error::Conflict { .. })),
        "a settled call was intended again"
    );
}

/// Whoever settles a second time works under a claim that somebody else uses too, and is told to stop.
pub async fn a_step_is_settled_once(stage: Stage) {
    let support = agent("support");
    let claimed = stage.running(&support, &node("here")).await;
    stage.step(&claimed, 0, Some(MicroUsd(5))).await;
    let settle = async |settled| stage.state.journal(claimed.fence, Some(settled), None).await;
    let second = Settled { result: json!("other"), ..outcome(&claimed, 0, Some(MicroUsd(5))) };
    assert!(matches!(settle(second).await, Err(Error::Fenced)));
    assert!(matches!(settle(outcome(&claimed, 9, None)).await, Err(Error::NotFound { .. })));
    let still_open = Settled { status: StepStatus::Intended, ..outcome(&claimed, 0, None) };
    assert!(matches!(settle(still_open).await, Err(Error::Conflict { .. })));
    let steps = stage.state.steps(claimed.fence.execution).await.unwrap();
    assert_eq!(steps[0].result, Some(json!({ "answer": 0 })));
    assert_eq!(stage.spent(&support, stage.clock.now()).await.cost, MicroUsd(5), "paid twice in the books");
}

/// A claim is on one attempt.
pub async fn a_step_of_another_attempt_is_refused(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let first = stage.running(&support, &here).await;
    stage.state.journal(first.fence, None, Some(call(&first, 0))).await.unwrap();
    stage.finish(&first, retry(secs(0))).await;
    let second = stage.claim_one(&support, &here).await;
    for (settle, intend) in [(Some(outcome(&first, 0, None)), None), (None, Some(call(&first, 1)))] {
        let refused = stage.state.journal(second.fence, settle, intend).await;
        assert!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");
    }
}

/// A caller may hand in one write after the other without waiting between them.
pub async fn writes_take_effect_in_the_order_of_their_first_poll(stage: Stage) {
    let claimed = stage.running(&agent("support"), &node("here")).await;
    let state = &stage.state;
    let (a, b, c, d) = tokio::join!(
        biased;
        state.journal(claimed.fence, None, Some(call(&claimed, 0))),
        state.journal(claimed.fence, Some(outcome(&claimed, 0, None)), Some(call(&claimed, 1))),
        state.journal(claimed.fence, Some(outcome(&claimed, 1, None)), None),
        state.finish(claimed.fence, super::stage::end(succeeded())),
    );
    for answer in [a, b, c, d] {
        answer.unwrap();
    }
    assert_eq!(stage.state.steps(claimed.fence.execution).await.unwrap().len(), 2);
}

/// A failed call's error is an outcome that a resume takes from the journal; an unknown one is for a person.
pub async fn an_unknown_outcome_is_kept_and_not_replayed(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let claimed = stage.running(&support, &here).await;
    for (seq, status) in [(0, StepStatus::Failed), (1, StepStatus::Unknown)] {
        stage.state.journal(claimed.fence, None, Some(call(&claimed, seq))).await.unwrap();
        let settled = Settled { status, usage: None, ..outcome(&claimed, seq, None) };
        stage.state.journal(claimed.fence, Some(settled), None).await.unwrap();
    }
    stage.state.take_back(&here).await.unwrap();
    let resumed = stage.claim_one(&support, &here).await;
    let found: Vec<_> = resumed.journal.iter().map(|step| (step.status, step.replays)).collect();
    assert_eq!(found, [(StepStatus::Failed, 1), (StepStatus::Unknown, 0)]);
    let spent = stage.spent(&support, stage.clock.now()).await;
    assert_eq!(spent.calls, 0, "a call without an answer was counted as one");
}

/// Also while the execution runs, for its agent alone, and since any quarter of an hour.
pub async fn spending_is_counted_as_it_happens(stage: Stage) {
    const QUARTER: Duration = Duration::from_secs(15 * 60);
    let (support, here) = (agent("support"), node("here"));
    let start = stage.clock.now();
    let claimed = stage.running(&support, &here).await;
    stage.step(&claimed, 0, Some(MicroUsd(100))).await;
    stage.step(&claimed, 1, None).await;
    stage.clock.advance(QUARTER);
    let later = stage.clock.now();
    let tool = Intended { kind: StepKind::Tool, ..call(&claimed, 2) };
    stage.state.journal(claimed.fence, None, Some(tool)).await.unwrap();
    let paid = Settled { usage: None, ..outcome(&claimed, 2, Some(MicroUsd(7))) };
    stage.state.journal(claimed.fence, Some(paid), None).await.unwrap();

    let spent = stage.spent(&support, start).await;
    assert_eq!((spent.calls, spent.usage.input, spent.usage.output, spent.cost), (2, 20, 10, MicroUsd(107)));
    let spent = stage.spent(&support, later).await;
    assert_eq!((spent.calls, spent.usage.input, spent.cost), (0, 0, MicroUsd(7)));
    stage.clock.advance(QUARTER);
    assert_eq!(stage.spent(&support, stage.clock.now()).await.cost, MicroUsd(0));
    assert_eq!(stage.spent(&agent("other"), start).await.cost, MicroUsd(0));
    let running = stage.running(&agent("other"), &node("here")).await;
    stage.step(&running, 0, Some(MicroUsd(3))).await;
    let all = stage.state.usage(start).await.unwrap();
    let sums: Vec<_> = all.iter().map(|(agent, spent)| (agent.as_str(), spent.cost)).collect();
    assert_eq!(sums, [("other", MicroUsd(3)), ("support", MicroUsd(107))], "by name, and nobody who spent nothing");
    let now: Vec<_> = stage.state.usage(stage.clock_now()).await.unwrap().into_iter().map(|(agent, _)| agent).collect();
    assert_eq!(now, [agent("other")]);
}
