//! `/v1/schedules`: when agents wake by themselves, and an operator's verbs on that.

use std::sync::Arc;

use axum::{Json, extract::State, http::HeaderMap, response::Response};
use greenroom_contract::{
    AgentId,
    page::Page,
    port::operator::{ScheduleShown, ScheduleView},
};

use super::invoke::{idempotency_key, taken_in};
use crate::{
    Doors,
    http::{Id, Params, Problem, Trace, ask},
};

pub(super) async fn list(State(doors): State<Arc<Doors>>, params: Params) -> Result<Json<Page<ScheduleView>>, Problem> {
    params.only(&[])?;
    Ok(Json(Page::whole(ask("the store", doors.operator.schedules()).await?)))
}

pub(super) async fn show(
    State(doors): State<Arc<Doors>>,
    Id(agent): Id<AgentId>,
    params: Params,
) -> Result<Json<ScheduleShown>, Problem> {
    params.only(&[])?;
    Ok(Json(ask("the store", doors.operator.schedule(&agent)).await?))
}

/// Answers as an invocation does: the work is durable, and its execution can be followed.
pub(super) async fn trigger(
    State(doors): State<Arc<Doors>>,
    Trace(trace_id): Trace,
    Id(agent): Id<AgentId>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    params.only(&[])?;
    let key = idempotency_key(&headers)?;
    let invoked = ask("the store", doors.operator.trigger_schedule(&agent, trace_id, key)).await?;
    tracing::info!(%agent, "An operator fired the schedule.");
    Ok(taken_in(&invoked))
}

pub(super) async fn pause(
    State(doors): State<Arc<Doors>>,
    Id(agent): Id<AgentId>,
    params: Params,
) -> Result<Json<ScheduleShown>, Problem> {
    params.only(&[])?;
    ask("the store", doors.operator.pause_schedule(&agent, true)).await?;
    tracing::info!(%agent, "An operator paused the schedule.");
    Ok(Json(ask("the store", doors.operator.schedule(&agent)).await?))
}

pub(super) async fn resume(
    State(doors): State<Arc<Doors>>,
    Id(agent): Id<AgentId>,
    params: Params,
) -> Result<Json<ScheduleShown>, Problem> {
    params.only(&[])?;
    ask("the store", doors.operator.pause_schedule(&agent, false)).await?;
    tracing::info!(%agent, "An operator let the schedule go on.");
    Ok(Json(ask("the store", doors.operator.schedule(&agent)).await?))
}
