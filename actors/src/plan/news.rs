//! What is told of a run, for whoever listens, and how it ends for people. Pure.

use greenroom_contract::{
    Event, EventId, PlanRunId,
    execution::{Claimed, Failure},
    plan::{NewPlanRun, PlanRun},
    port::state::Conclusion,
    status::{ExecutionStatus, PlanRunStatus, PlanStepStatus},
};
use serde_json::{Value, json};

use super::runner::Runner;

/// Under which runs are told of.
const TOPIC: &str = "collaboration";

/// The code of a failure: people did not allow the plan.
pub(crate) const REJECTED: &str = "plan_rejected";

/// What happened to the run's steps after the first `told` of its news. A coordinator that was woken by such news is not told of: it
/// would wake itself for ever.
pub(super) fn of_steps(claimed: &Claimed, runner: &Runner, told: u32) -> Vec<Event> {
    if is_woken_by_news(claimed) {
        return Vec::new();
    }
    let news = runner.news().iter().enumerate().skip(told as usize);
    let event = |(number, news): (usize, &super::runner::News)| {
        let id = claimed.fence.execution;
        let (planned, run) = (&runner.plan().steps[news.step], &runner.steps()[news.step]);
        let payload = json!({
            "task_id": PlanRunId::of(id), "coordinator": claimed.agent, "step": news.step, "status": news.status,
            "task": planned.task, "agent": planned.agent, "role": planned.role, "output": planned.output,
            "tries": run.tries, "execution_id": run.execution_id, "error": run.error, "reason": run.reason,
        });
        told_event(claimed, &format!("step.{}", news.status), &["step", &number.to_string()], payload)
    };
    news.map(event).collect()
}

/// The run as its coordinator's end leaves it, and the word of it. `None` while another attempt follows.
pub(crate) fn ending(claimed: &Claimed, mut run: NewPlanRun, conclusion: &Conclusion) -> Option<(NewPlanRun, Event)> {
    let (word, detail) = match conclusion {
        Conclusion::Retry { .. } => return None,
        Conclusion::Succeeded(output) => {
            run.status = PlanRunStatus::Succeeded;
            run.progress.output = Some(output.clone());
            ("completed", json!({ "output": output }))
        }
        Conclusion::Ended { status, failure } => {
            let is_cancelled = *status == ExecutionStatus::Cancelled;
            run.status = if is_cancelled { PlanRunStatus::Cancelled } else { PlanRunStatus::Failed };
            run.progress.error = Some(failure.clone());
            for step in &mut run.progress.steps {
                if matches!(step.status, PlanStepStatus::Running | PlanStepStatus::Waiting) {
                    step.status = PlanStepStatus::Cancelled;
                }
            }
            ("failed", json!({ "error": failure }))
        }
    };
    let mut payload = json!({
        "task_id": PlanRunId::of(claimed.fence.execution), "coordinator": claimed.agent, "status": run.status,
        "cost_usd": run.progress.cost,
    });
    if let (Some(payload), Value::Object(detail)) = (payload.as_object_mut(), detail) {
        payload.extend(detail);
    }
    Some((run, told_event(claimed, word, &["end"], payload)))
}

/// The word of a run that an operator has ended.
pub(crate) fn cancelled(run: &PlanRun, failure: &Failure) -> Event {
    let payload = json!({
        "task_id": run.id, "coordinator": run.agent, "status": PlanRunStatus::Cancelled, "cost_usd": run.progress.cost,
        "error": failure,
    });
    let id = run.id.to_string();
    let mut event = Event::new(format!("{TOPIC}.failed.{id}"), format!("agent/{}", run.agent), run.trace_id, payload);
    event.event_id = EventId::derived(&[TOPIC, &id, "end"]);
    event
}

/// Whether the coordinator handles news of a run.
fn is_woken_by_news(claimed: &Claimed) -> bool {
    claimed.event.event_type.split('.').next() == Some(TOPIC)
}

fn told_event(claimed: &Claimed, what: &str, which: &[&str], payload: Value) -> Event {
    let id = claimed.fence.execution.to_string();
    let topic = format!("{TOPIC}.{what}.{id}");
    let mut event = Event::new(topic, format!("agent/{}", claimed.agent), claimed.event.trace_id, payload);
    event.event_id = EventId::derived(&[&[TOPIC, &id], which].concat());
    event.correlation_id = Some(claimed.event.event_id.to_string());
    event
}
