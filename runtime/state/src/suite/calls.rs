//! Calls between agents.

use std::time::Duration;

use greenroom_contract::{
    ClarificationId, Event, ExecutionId, ReplyTo,
    call::{self, CallResult},
    clarification::Question,
    execution::{Claimed, Effect, Failure, Intended, StepKind},
    money::MicroUsd,
    port::state::{Asked, Conclusion, Decision, Error, Finish, NewCall, Outgoing, Wait},
    status::{ClarificationStatus, ExecutionStatus, Purpose, StepStatus},
};
use serde_json::json;

use super::{
    Stage,
    stage::{agent, call as tool_call, end, node, secs, succeeded},
};

/// Intends a step for each call of `helper` and waits for them.
async fn call(stage: &Stage, on: &Claimed, seqs: &[u32]) -> Vec<ExecutionId> {
    for seq in seqs {
        let intend = Intended { kind: StepKind::Agent, effect: Effect::Keyed, ..tool_call(on, *seq) };
        stage.state.journal(on.fence, None, Some(intend)).await.unwrap();
    }
    wait(stage, on, seqs).await.unwrap()
}

async fn wait(stage: &Stage, on: &Claimed, seqs: &[u32]) -> Result<Vec<ExecutionId>, Error> {
    let calls: Vec<NewCall> = seqs.iter().map(|seq| new_call(on, *seq)).collect();
    let called = calls.iter().map(NewCall::execution).collect();
    stage.state.wait(on.fence, Wait { calls, ..Wait::default() }).await.map(|()| called)
}

fn new_call(on: &Claimed, seq: u32) -> NewCall {
    let helper = agent("helper");
    let mut event = Event::new(helper.input_topic(), "agent/support", on.event.trace_id, json!({ "input": seq }));
    event.event_id = call::event_id(on.fence.execution, on.attempt, seq);
    event.reply_to = Some(ReplyTo::Caller { path: vec![on.agent.clone()], person: None });
    NewCall { seq, agent: helper, event, within: secs(60) }
}

/// The helper's queue hands the calls over, and their executions are claimed.
async fn taken(stage: &Stage, called: &[ExecutionId]) -> Vec<Claimed> {
    let helper = agent("helper");
    for row in stage.due().await {
        if let Outgoing::Event { event, mandatory: true } = row.outgoing {
            stage.arrive(&helper, event).await;
        }
    }
    let claimed = stage.claim(&helper, &node("there"), 10).await;
    let one = |id: &ExecutionId| claimed.iter().find(|one| one.fence.execution == *id).unwrap().clone();
    called.iter().map(one).collect()
}

fn answers(on: &Claimed, text: &str) -> Finish {
    let call = Some(CallResult::answered(on.fence.execution, json!(text), MicroUsd::default()));
    Finish { call, ..end(Conclusion::Succeeded(json!(text))) }
}

/// Nobody holds the caller; the transaction that ends the other's execution settles its step and makes it due.
pub async fn an_execution_waits_for_another_agents(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let running = stage.running(&support, &here).await;
    let called = call(&stage, &running, &[0]).await[0];
    assert_eq!(stage.shown(running.fence.execution).await.status, ExecutionStatus::Waiting);
    assert_eq!(stage.shown(called).await.status, ExecutionStatus::Queued);
    assert!(stage.claim(&support, &here, 10).await.is_empty());

    let helping = taken(&stage, &[called]).await.remove(0);
    stage.state.finish(helping.fence, answers(&helping, "done")).await.unwrap();
    let again = stage.claim_one(&support, &here).await;
    assert_eq!((again.attempt, again.crashes, again.journal.len()), (1, 0, 1));
    let step = &again.journal[0];
    let result: CallResult = serde_json::from_value(step.result.clone().unwrap()).unwrap();
    assert_eq!((step.kind, step.status), (StepKind::Agent, StepStatus::Settled));
    assert_eq!((result.output, result.execution_id), (Some(json!("done")), called));
    stage.finish(&again, succeeded()).await;
}

/// Side by side, each wakes the caller; one that ends while the caller is at work is not missed.
pub async fn each_answer_makes_the_caller_due(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let running = stage.running(&support, &here).await;
    let called = call(&stage, &running, &[0, 1]).await;
    let helping = taken(&stage, &called).await;
    let first = &helping[0];
    stage.state.finish(first.fence, answers(first, "a")).await.unwrap();
    let again = stage.claim_one(&support, &here).await;
    assert_eq!(
        again.journal.iter().map(|step| step.status).collect::<Vec<_>>(),
        [StepStatus::Settled, StepStatus::Intended]
    );
    // The second ends while the caller looks at the first.
    let second = &helping[1];
    stage.state.finish(second.fence, answers(second, "b")).await.unwrap();
    wait(&stage, &again, &[1]).await.unwrap();
    let last = stage.claim_one(&support, &here).await;
    assert!(last.journal.iter().all(|step| step.status == StepStatus::Settled));
    stage.finish(&last, succeeded()).await;
}

/// A call that is made again, after a crash, is the same one.
pub async fn a_call_made_again_keeps_what_it_has(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let running = stage.running(&support, &here).await;
    let called = call(&stage, &running, &[0, 1]).await;
    let helping = taken(&stage, &called).await;
    let first = &helping[0];
    stage.state.finish(first.fence, answers(first, "a")).await.unwrap();
    let again = stage.claim_one(&support, &here).await;
    wait(&stage, &again, &[1]).await.unwrap();
    assert_eq!(stage.shown(again.fence.execution).await.status, ExecutionStatus::Waiting);
    stage.clock.advance(secs(61));
    assert_eq!(stage.state.stale_calls(10).await.unwrap().len(), 1, "its time counts from the first");
}

/// However the other ends: failed for good, cancelled, or never delivered.
pub async fn a_call_ends_with_whatever_became_of_the_other(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let failure = || Failure::new("broken", "it broke");
    for how in ["failed", "cancelled", "undelivered"] {
        let running = stage.running(&support, &here).await;
        let called = call(&stage, &running, &[0]).await[0];
        let status = match how {
            "failed" => {
                let helping = taken(&stage, &[called]).await.remove(0);
                let status = ExecutionStatus::Dead;
                // An attempt that is made again says nothing yet.
                let retry = Conclusion::Retry { failure: failure(), after: Duration::ZERO };
                stage.state.finish(helping.fence, end(retry)).await.unwrap();
                assert!(stage.claim(&support, &here, 10).await.is_empty());
                let again = stage.claim(&agent("helper"), &here, 1).await.remove(0);
                let call = Some(CallResult::failed(called, status, failure()));
                let ended = Finish { call, ..end(Conclusion::Ended { status, failure: failure() }) };
                stage.state.finish(again.fence, ended).await.unwrap();
                status
            }
            "cancelled" => {
                taken(&stage, &[called]).await;
                assert!(stage.state.cancel(called, failure()).await.unwrap());
                ExecutionStatus::Cancelled
            }
            _ => {
                assert!(stage.state.cancel(called, failure()).await.unwrap());
                ExecutionStatus::Cancelled
            }
        };
        let again = stage.claim_one(&support, &here).await;
        let step = &again.journal[0];
        let result: CallResult = serde_json::from_value(step.result.clone().unwrap()).unwrap();
        assert_eq!((step.status, result.status, result.error), (StepStatus::Failed, status, Some(failure())), "{how}");
        stage.finish(&again, succeeded()).await;
    }
}

/// One that is late, and one whose caller has ended, are stale; their ends count once.
pub async fn what_nobody_waits_for_is_stale(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let patient = stage.running(&support, &here).await;
    let awaited = call(&stage, &patient, &[0]).await[0];
    let gone = stage.running(&support, &here).await;
    let orphan = call(&stage, &gone, &[0]).await[0];
    assert!(stage.state.stale_calls(10).await.unwrap().is_empty());
    assert!(stage.state.cancel(gone.fence.execution, Failure::new("cancelled", "enough")).await.unwrap());
    let stale = stage.state.stale_calls(10).await.unwrap();
    assert_eq!(stale.iter().map(|call| (call.execution, call.is_awaited)).collect::<Vec<_>>(), [(orphan, false)]);
    assert_eq!((stale[0].caller, &stale[0].caller_agent), (gone.fence.execution, &support));
    let ended = CallResult::failed(orphan, ExecutionStatus::Cancelled, Failure::new("not_awaited", "gone"));
    assert!(stage.state.end_call(ended.clone()).await.unwrap());
    assert!(!stage.state.end_call(ended).await.unwrap());

    stage.clock.advance(secs(61));
    let stale = stage.state.stale_calls(10).await.unwrap();
    assert_eq!(stale.iter().map(|call| (call.execution, call.is_awaited)).collect::<Vec<_>>(), [(awaited, true)]);
    let late = CallResult::failed(awaited, ExecutionStatus::TimedOut, Failure::new("timed_out", "late"));
    assert!(stage.state.end_call(late).await.unwrap());
    let again = stage.claim_one(&support, &here).await;
    assert_eq!(again.journal[0].status, StepStatus::Failed);
    // The answer that comes after all finds nobody.
    let helping = taken(&stage, &[awaited]).await.remove(0);
    stage.state.finish(helping.fence, answers(&helping, "late")).await.unwrap();
    assert!(stage.state.stale_calls(10).await.unwrap().is_empty());
    stage.finish(&again, succeeded()).await;
    assert_eq!(stage.shown(patient.fence.execution).await.steps.unwrap()[0].status, StepStatus::Failed);
}

/// An answer of another agent does not wait for people's.
pub async fn a_question_and_a_call_stand_side_by_side(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let running = stage.running(&support, &here).await;
    stage.state.journal(running.fence, None, Some(tool_call(&running, 0))).await.unwrap();
    let intend = Intended { kind: StepKind::Agent, effect: Effect::Keyed, ..tool_call(&running, 1) };
    stage.state.journal(running.fence, None, Some(intend)).await.unwrap();
    let asked = || vec![Asked { seq: 0, purpose: Purpose::Tool, question: Question::input("Who?") }];
    let calls = vec![new_call(&running, 1)];
    let called = calls[0].execution();
    stage.state.wait(running.fence, Wait { questions: asked(), calls, ..Wait::default() }).await.unwrap();
    let helping = taken(&stage, &[called]).await.remove(0);
    stage.state.finish(helping.fence, answers(&helping, "me")).await.unwrap();
    let again = stage.claim_one(&support, &here).await;
    let ended: Vec<_> = again.journal.iter().map(|step| step.status).collect();
    assert_eq!(ended, [StepStatus::Intended, StepStatus::Settled]);
    stage.state.wait(again.fence, Wait { questions: asked(), ..Wait::default() }).await.unwrap();
    assert!(stage.claim(&support, &here, 10).await.is_empty());
}

/// While the execution is at work for the sake of a call, a person answers: it goes on at once, and does not wait for what was
/// said before it waited.
pub async fn an_answer_counts_while_the_execution_is_at_work(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let running = stage.running(&support, &here).await;
    for (seq, kind) in [(0, StepKind::Ask), (1, StepKind::Agent), (2, StepKind::Agent)] {
        let intend = Intended { kind, effect: Effect::Keyed, ..tool_call(&running, seq) };
        stage.state.journal(running.fence, None, Some(intend)).await.unwrap();
    }
    let asked = || vec![Asked { seq: 0, purpose: Purpose::Tool, question: Question::input("Who?") }];
    let calls = |seqs: &[u32]| seqs.iter().map(|seq| new_call(&running, *seq)).collect::<Vec<_>>();
    let first = Wait { questions: asked(), calls: calls(&[1, 2]), ..Wait::default() };
    stage.state.wait(running.fence, first).await.unwrap();
    let helping = taken(&stage, &[new_call(&running, 1).execution()]).await.remove(0);
    stage.state.finish(helping.fence, answers(&helping, "me")).await.unwrap();
    let again = stage.claim_one(&support, &here).await;
    let id = ClarificationId::of(running.fence.execution, 1, 0);
    let decision = Decision {
        status: ClarificationStatus::Answered,
        answer: Some(json!("ann")),
        by: "ann".to_owned(),
        step: (StepStatus::Settled, json!({ "content": "ann" })),
        outbox: Vec::new(),
    };
    stage.state.decide(id, decision).await.unwrap();
    let second = Wait { questions: asked(), calls: calls(&[2]), ..Wait::default() };
    stage.state.wait(again.fence, second).await.unwrap();
    let last = stage.claim_one(&support, &here).await;
    assert_eq!(last.journal[0].status, StepStatus::Settled);
}

/// A call needs a step of the claimed attempt, and a queue of the agent that is called.
pub async fn a_call_without_a_step_is_refused(stage: Stage) {
    let running = stage.running(&agent("support"), &node("here")).await;
    let refused = wait(&stage, &running, &[3]).await;
    assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
    assert_eq!(stage.shown(running.fence.execution).await.status, ExecutionStatus::Running);
    let nothing = stage.state.wait(running.fence, Wait::default()).await;
    assert!(matches!(nothing, Err(Error::Conflict { .. })), "{nothing:?}");
}
