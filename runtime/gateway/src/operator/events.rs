//! `POST /v1/events`: an event for whoever subscribed to its topic.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use greenroom_contract::{Event, EventId, Priority, TraceId, topic::check_open_topic};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::invoke::idempotency_key;
use crate::{
    Doors,
    http::{JsonBody, Params, Problem, Trace, ask},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    event_type: String,
    payload: Value,
    #[serde(default)]
    priority: Option<Priority>,
    #[serde(default)]
    correlation_id: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Published {
    event_id: EventId,
    event_type: String,
    trace_id: TraceId,
}

pub(super) async fn publish(
    State(doors): State<Arc<Doors>>,
    Trace(trace_id): Trace,
    params: Params,
    headers: HeaderMap,
    JsonBody(request): JsonBody<Request>,
) -> Result<(StatusCode, Json<Published>), Problem> {
    params.only(&[])?;
    if let Err(error) = check_open_topic(&request.event_type) {
        return Err(Problem::invalid_at("/event_type", error.to_string()));
    }
    let mut event = Event::new(request.event_type, "http", trace_id, request.payload);
    event.timestamp = doors.clock.now();
    event.priority = request.priority.unwrap_or_default();
    event.correlation_id = request.correlation_id;
    if let Some(key) = idempotency_key(&headers)? {
        event.event_id = EventId::derived(&["http", "event", &key]);
    }
    let published = Published { event_id: event.event_id, event_type: event.event_type.clone(), trace_id };
    ask("the store", doors.operator.publish(event)).await?;
    Ok((StatusCode::ACCEPTED, Json(published)))
}
