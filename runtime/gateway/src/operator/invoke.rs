//! `POST /v1/agents/{id}/invoke`: work for one agent, waited for or not.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use greenroom_config::HumanDuration;
use greenroom_contract::{
    AgentId, MicroUsd, Priority, TraceId,
    execution::{Execution, Failure, Step},
    id::ExecutionId,
    port::operator::{Invocation, Invoked},
    status::ExecutionStatus,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Doors,
    http::{Id, JsonBody, Params, Place, Problem, Trace, ask},
};

/// The longest that a caller is kept waiting.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// How much later than asked the machine may come back before the door answers without it.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    input: Value,
    #[serde(default)]
    priority: Option<Priority>,
    #[serde(default)]
    conversation: Option<String>,
}

/// What a caller who waited gets.
#[derive(Serialize)]
struct Outcome {
    execution_id: ExecutionId,
    trace_id: TraceId,
    status: ExecutionStatus,
    output: Option<Value>,
    /// `null` where no price is known, which is not the same as free.
    cost_usd: Option<MicroUsd>,
    steps: Vec<Step>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

pub(super) async fn invoke(
    State(doors): State<Arc<Doors>>,
    Id(agent): Id<AgentId>,
    Trace(trace_id): Trace,
    params: Params,
    headers: HeaderMap,
    JsonBody(request): JsonBody<Request>,
) -> Result<Response, Problem> {
    let wait = wanted_wait(params)?;
    let invocation = Invocation {
        agent,
        input: check_input(request.input)?,
        priority: request.priority.unwrap_or_default(),
        conversation: request.conversation.map(check_conversation).transpose()?,
        trace_id,
        source: "http".to_owned(),
        idempotency_key: idempotency_key(&headers)?,
        reply_to: None,
    };
    let invoked = ask("the store", doors.operator.invoke(invocation)).await?;
    if wait.is_zero() {
        return Ok(taken_in(&invoked));
    }
    Ok(match wait_for(&doors, &invoked, wait).await {
        Some(execution) if execution.status.is_final() => {
            (StatusCode::OK, Json(Outcome::from(execution))).into_response()
        }
        Some(execution) => taken_in(&Invoked { status: execution.status, ..invoked }),
        None => taken_in(&invoked),
    })
}

/// How long the caller wants to be kept waiting: not at all, where it does not say.
pub(super) fn wanted_wait(params: Params) -> Result<Duration, Problem> {
    let wait = params.only(&["wait"])?.one::<HumanDuration>("wait")?.map_or(Duration::ZERO, |wait| wait.0);
    if wait > LONGEST_WAIT {
        let most = LONGEST_WAIT.as_secs();
        return Err(Problem::bad_request("bad_parameter", format!("query parameter \"wait\": at most {most}s")));
    }
    Ok(wait)
}

/// The execution once it ended or the time is up. `None` where the waiting failed: the work itself is durable by now,
/// so that an error here would tell the caller to do it again.
async fn wait_for(doors: &Doors, invoked: &Invoked, wait: Duration) -> Option<Execution> {
    let waited = tokio::time::timeout(wait + GRACE, doors.operator.wait(invoked.execution_id, wait));
    tokio::select! {
        waited = waited => match waited {
            Ok(Ok(execution)) => Some(execution),
            Ok(Err(error)) => {
                tracing::warn!(%error, execution_id = %invoked.execution_id, "An execution could not be waited for.");
                None
            }
            Err(_) => None,
        },
        () = doors.closing.cancelled() => None,
    }
}

pub(super) fn taken_in(invoked: &Invoked) -> Response {
    let location = format!("/v1/executions/{}", invoked.execution_id);
    (StatusCode::ACCEPTED, [(LOCATION, location)], Json(invoked)).into_response()
}

impl From<Execution> for Outcome {
    fn from(execution: Execution) -> Self {
        Self {
            execution_id: execution.id,
            trace_id: execution.trace_id,
            status: execution.status,
            output: execution.output,
            cost_usd: execution.cost,
            steps: execution.steps.unwrap_or_default(),
            error: execution.error,
        }
    }
}

fn check_input(input: Value) -> Result<Value, Problem> {
    match &input {
        Value::String(text) if text.trim().is_empty() => Err(Problem::invalid_at("/input", "is empty")),
        Value::String(_) | Value::Object(_) => Ok(input),
        Value::Null => Err(Problem::invalid_at("/input", "is null; a text or an object is needed")),
        Value::Bool(_) => Err(Problem::invalid_at("/input", "is a boolean; a text or an object is needed")),
        Value::Number(_) => Err(Problem::invalid_at("/input", "is a number; a text or an object is needed")),
        Value::Array(_) => Err(Problem::invalid_at("/input", "is an array; a text or an object is needed")),
    }
}

fn check_conversation(name: String) -> Result<String, Problem> {
    let usable = !name.is_empty() && name.len() <= 200 && !name.chars().any(char::is_control);
    if usable {
        return Ok(name);
    }
    Err(Problem::invalid_at("/conversation", "is not usable; 1 to 200 bytes without control characters are"))
}

/// The caller's `Idempotency-Key`: 1 to 255 visible ASCII characters.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| (1..=255).contains(&text.len()));
    match text {
        Some(text) if text.bytes().all(|b| b.is_ascii_graphic()) => Ok(Some(text.to_owned())),
        _ => {
            let detail = "Idempotency-Key must be 1 to 255 visible ASCII characters";
            let place = Place { header: Some("Idempotency-Key"), detail: detail.to_owned(), ..Place::default() };
            Err(Problem::bad_request("bad_header", detail).at(place))
        }
    }
}
