//! `POST /v1/tasks`: work for a coordinator, waited for or not.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use greenroom_config::HumanDuration;
use greenroom_contract::{
    AgentId, PlanRunId, Priority,
    plan::{KeptStep, Plan, Task, Values},
    port::operator::{Invoked, NewTask, PlanRunShown},
    status::PlanRunStatus,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::invoke::{idempotency_key, wanted_wait};
use crate::{
    Doors,
    http::{JsonBody, Params, Problem, Trace, ask},
};

/// How often a run that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    #[serde(default)]
    agent: Option<AgentId>,
    task: String,
    #[serde(default)]
    inputs: Values,
    #[serde(default)]
    plan: Option<Plan>,
    #[serde(default)]
    approve: bool,
    #[serde(default)]
    approvers: Vec<String>,
    #[serde(default)]
    deadline: Option<HumanDuration>,
    #[serde(default)]
    max_cost_usd: Option<f64>,
    #[serde(default)]
    structured_output_schema: Option<Value>,
    #[serde(default)]
    kept: Vec<KeptStep>,
    #[serde(default)]
    priority: Option<Priority>,
}

pub(super) async fn start(
    State(doors): State<Arc<Doors>>,
    Trace(trace_id): Trace,
    params: Params,
    headers: HeaderMap,
    JsonBody(request): JsonBody<Request>,
) -> Result<Response, Problem> {
    let wait = wanted_wait(params)?;
    let Request {
        agent,
        task,
        inputs,
        plan,
        approve,
        approvers,
        deadline,
        max_cost_usd,
        structured_output_schema,
        kept,
        priority,
    } = request;
    let new = NewTask {
        agent,
        task: Task {
            task,
            inputs,
            plan,
            approve,
            approvers,
            deadline,
            max_cost_usd,
            structured_output_schema,
            fork_of: None,
            kept,
        },
        priority: priority.unwrap_or_default(),
        trace_id,
        source: "http".to_owned(),
        idempotency_key: idempotency_key(&headers)?,
    };
    let invoked = ask("the store", doors.operator.start_task(new)).await?;
    if !wait.is_zero()
        && let Some(run) = wait_for(&doors, PlanRunId::of(invoked.execution_id), wait).await
    {
        return Ok((StatusCode::OK, Json(run)).into_response());
    }
    Ok(taken_in(&invoked))
}

/// The run, once it has ended or waits for people; `None` when the time is up.
async fn wait_for(doors: &Doors, id: PlanRunId, at_most: Duration) -> Option<PlanRunShown> {
    let until = Instant::now() + at_most;
    while Instant::now() < until {
        // A store that is away for a moment does not end the wait: the task is durable.
        if let Ok(shown) = ask("the store", doors.operator.plan_run(id)).await {
            let waits = matches!(shown.run.status, PlanRunStatus::AwaitingApproval | PlanRunStatus::Waiting);
            if shown.run.status.is_final() || waits {
                return Some(shown);
            }
        }
        tokio::select! {
            () = doors.closing.cancelled() => return None,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
    None
}

/// The task is durable, and its run can be followed.
pub(super) fn taken_in(invoked: &Invoked) -> Response {
    let id = PlanRunId::of(invoked.execution_id);
    let body = json!({
        "task_id": id,
        "plan_run_id": id,
        "execution_id": invoked.execution_id,
        "trace_id": invoked.trace_id,
        "status": invoked.status,
    });
    (StatusCode::ACCEPTED, [(LOCATION, format!("/v1/plans/{id}"))], Json(body)).into_response()
}
