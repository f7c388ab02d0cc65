//! `/v1/clarifications`: questions to people, and their answers.

use std::sync::Arc;

use axum::{Json, extract::State};
use greenroom_contract::{ClarificationId, clarification::Clarification, page::Page, port::state::ClarificationFilter};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Doors,
    http::{Id, JsonBody, Params, Problem, ask, ask_page},
};

/// Who answers, where the caller does not say.
const SOMEBODY: &str = "operator";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    answer: Value,
    /// The caller's word: whoever has the token may say what it likes.
    #[serde(default)]
    by: Option<String>,
}

pub(super) async fn list(
    State(doors): State<Arc<Doors>>,
    params: Params,
) -> Result<Json<Page<Clarification>>, Problem> {
    let params = params.only(&["agent", "execution_id", "status", "limit", "cursor"])?;
    let filter = ClarificationFilter {
        agent: params.one("agent")?,
        execution: params.one("execution_id")?,
        status: params.one("status")?,
    };
    Ok(Json(ask_page(doors.state.clarifications(filter, params.page()?)).await?))
}

pub(super) async fn show(
    State(doors): State<Arc<Doors>>,
    Id(id): Id<ClarificationId>,
    params: Params,
) -> Result<Json<Clarification>, Problem> {
    params.only(&[])?;
    let found = ask("the store", doors.state.clarification(id)).await?;
    found.map(Json).ok_or_else(|| Problem::not_found(format!("clarification {id}")))
}

pub(super) async fn answer(
    State(doors): State<Arc<Doors>>,
    Id(id): Id<ClarificationId>,
    params: Params,
    JsonBody(given): JsonBody<Answer>,
) -> Result<Json<Clarification>, Problem> {
    params.only(&[])?;
    let by = given.by.unwrap_or_else(|| SOMEBODY.to_owned());
    Ok(Json(ask("the store", doors.operator.answer(id, given.answer, by)).await?))
}
