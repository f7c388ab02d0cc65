//! Runs of plans that are past their deadline and have not ended.

use std::{sync::Arc, time::Duration};

use greenroom_contract::{
    Event, EventId,
    plan::PlanRun,
    port::state::{Error, Outgoing},
    status::PlanStepStatus,
};
use serde_json::json;

use crate::{ports::Ports, service::every, supervisor::ChildSpec};

/// How often it is looked for them.
const EVERY: Duration = Duration::from_secs(5);
/// A coordinator ends its run by itself at its deadline; one that has not by so much later does not get there.
const GRACE: Duration = Duration::from_secs(15);
/// So many are told of at a time.
const BATCH: u32 = 100;

/// The duty as a service of the node: a run that should have ended and has not is told of once, under `collaboration.stuck`.
/// Every orchestrator has it; of several that are at it, the first tells.
pub fn stuck(ports: Arc<Ports>) -> ChildSpec {
    every("stuck", EVERY, move || {
        let ports = Arc::clone(&ports);
        async move {
            if let Err(error) = tell_of_stuck(&ports).await {
                // The monitor says when the store is down.
                tracing::debug!(%error, "Stuck plan runs could not be looked for now.");
            }
        }
    })
}

async fn tell_of_stuck(ports: &Ports) -> Result<(), Error> {
    for run in ports.state.stuck_plan_runs(GRACE, BATCH).await? {
        let event = news(&run);
        if ports.state.tell_stuck(run.id, vec![Outgoing::Event { event, mandatory: false }]).await? {
            tracing::warn!(
                trace_id = %run.trace_id, plan_run_id = %run.id, agent = %run.agent, status = %run.status,
                "A plan run is past its deadline and has not ended."
            );
            ports.outbox.ring();
        }
    }
    Ok(())
}

/// Says at whom it stands.
fn news(run: &PlanRun) -> Event {
    let steps = run.progress.steps.iter().enumerate();
    let open = steps.filter(|(_, step)| matches!(step.status, PlanStepStatus::Running | PlanStepStatus::Waiting));
    let open = open.map(|(place, step)| {
        let agent = run.progress.plan.as_ref().and_then(|plan| plan.steps.get(place)).map(|step| &step.agent);
        json!({ "step": place, "agent": agent, "execution_id": step.execution_id, "status": step.status })
    });
    let payload = json!({
        "task_id": run.id,
        "coordinator": run.agent,
        "status": run.status,
        "deadline_at": run.deadline_at,
        "updated_at": run.updated_at,
        "open": open.collect::<Vec<_>>(),
    });
    let mut event = Event::new(format!("collaboration.stuck.{}", run.id), "plans", run.trace_id, payload);
    event.event_id = EventId::derived(&["collaboration", &run.id.to_string(), "stuck"]);
    event
}
