//! `/v1/dead-letters`: what could not be done, and its way home.

use std::{fmt, str::FromStr, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use greenroom_contract::{execution::DeadLetter, page::Page, port::state::DeadLetterFilter};
use serde_json::json;

use super::redact::redact;
use crate::{
    Doors,
    http::{Id, Params, Problem, ask, ask_page},
};

/// A dead letter's number.
pub(super) struct LetterId(i64);

impl FromStr for LetterId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("{text:?} is not a dead letter's id (a whole number)"))
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dead letter {}", self.0)
    }
}

pub(super) async fn list(State(doors): State<Arc<Doors>>, params: Params) -> Result<Json<Page<DeadLetter>>, Problem> {
    let params = params.only(&["agent", "replayed", "limit", "cursor"])?;
    let filter = DeadLetterFilter { agent: params.one("agent")?, replayed: params.one("replayed")?.unwrap_or(false) };
    let page = ask_page(doors.state.dead_letters(filter, params.page()?)).await?;
    let items = page.items.into_iter().map(redact).collect();
    Ok(Json(Page { items, next_cursor: page.next_cursor }))
}

pub(super) async fn show(
    State(doors): State<Arc<Doors>>,
    Id(id): Id<LetterId>,
    params: Params,
) -> Result<Json<DeadLetter>, Problem> {
    params.only(&[])?;
    let found = ask("the store", doors.state.dead_letter(id.0)).await?;
    found.map(redact).map(Json).ok_or_else(|| Problem::not_found(id))
}

pub(super) async fn replay(
    State(doors): State<Arc<Doors>>,
    Id(id): Id<LetterId>,
    params: Params,
) -> Result<Response, Problem> {
    params.only(&[])?;
    let replayed = ask("the store", doors.state.replay(id.0)).await?;
    tracing::info!(dead_letter = id.0, event_id = %replayed.event_id, "An operator sent a dead letter again.");
    let body = json!({ "event_id": replayed.event_id, "execution_id": replayed.execution_id, "status": "queued" });
    let mut response = (StatusCode::ACCEPTED, Json(body)).into_response();
    let location = replayed.execution_id.map(|execution| format!("/v1/executions/{execution}"));
    if let Some(Ok(location)) = location.map(|location| HeaderValue::from_str(&location)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

pub(super) async fn purge(
    State(doors): State<Arc<Doors>>,
    Id(id): Id<LetterId>,
    params: Params,
) -> Result<StatusCode, Problem> {
    params.only(&[])?;
    if !ask("the store", doors.state.purge(id.0)).await? {
        return Err(Problem::not_found(id));
    }
    tracing::info!(dead_letter = id.0, "An operator deleted a dead letter.");
    Ok(StatusCode::NO_CONTENT)
}
