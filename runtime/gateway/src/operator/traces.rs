//! `GET /v1/traces/{trace_id}`: one workflow from its door to its replies.

use std::sync::Arc;

use axum::{Json, extract::State};
use greenroom_contract::{
    TraceId,
    execution::{DeadLetter, Execution},
    page::PageRequest,
    port::state::{DeadLetterFilter, ExecutionFilter, PendingRow},
};
use serde::Serialize;

use super::redact::redact;
use crate::{
    Doors,
    http::{Id, Params, Problem, ask},
};

/// A page of what is gathered, and how many pages at most: a trace with more is shown in part, and says so.
const PAGE: u32 = 500;
const PAGES: usize = 4;

#[derive(Serialize)]
pub(super) struct Trace {
    trace_id: TraceId,
    /// Whether everything is here.
    complete: bool,
    /// Oldest first, each with its journal.
    executions: Vec<Execution>,
    /// What the outbox still holds.
    pending: Vec<PendingRow>,
    dead_letters: Vec<DeadLetter>,
}

pub(super) async fn show(
    State(doors): State<Arc<Doors>>,
    Id(trace_id): Id<TraceId>,
    params: Params,
) -> Result<Json<Trace>, Problem> {
    params.only(&[])?;
    let trace = ask("the store", gather(&doors, trace_id)).await?;
    if trace.executions.is_empty() && trace.pending.is_empty() && trace.dead_letters.is_empty() {
        return Err(Problem::not_found(format!("anything under trace id {trace_id}")));
    }
    Ok(Json(trace))
}

async fn gather(doors: &Doors, trace_id: TraceId) -> Result<Trace, Problem> {
    let (mut executions, all_executions) = executions(doors, trace_id).await?;
    executions.sort_by_key(|execution| execution.created_at);
    for execution in &mut executions {
        execution.steps = Some(doors.state.steps(execution.id).await?);
    }
    let (dead_letters, all_letters) = dead_letters(doors, trace_id).await?;
    let pending = doors.state.pending(trace_id).await?;
    Ok(Trace { trace_id, complete: all_executions && all_letters, executions, pending, dead_letters })
}

async fn executions(doors: &Doors, trace_id: TraceId) -> Result<(Vec<Execution>, bool), Problem> {
    let mut found = Vec::new();
    let mut cursor = None;
    for _ in 0..PAGES {
        let filter = ExecutionFilter { trace_id: Some(trace_id), ..ExecutionFilter::default() };
        let page = doors.state.executions(filter, PageRequest { limit: PAGE, cursor }).await?;
        found.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok((found, true));
        }
    }
    Ok((found, false))
}

/// The store finds letters by agent only, so that the newest are looked through.
async fn dead_letters(doors: &Doors, trace_id: TraceId) -> Result<(Vec<DeadLetter>, bool), Problem> {
    let mut found = Vec::new();
    let mut cursor = None;
    for _ in 0..PAGES {
        let filter = DeadLetterFilter { agent: None, replayed: true };
        let page = doors.state.dead_letters(filter, PageRequest { limit: PAGE, cursor }).await?;
        found.extend(page.items.into_iter().filter(|letter| letter.trace_id == Some(trace_id)).map(redact));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok((found, true));
        }
    }
    Ok((found, false))
}
