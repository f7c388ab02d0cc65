//! `/v1/executions`: what agents did and do, with journal and cost.

use std::sync::Arc;

use axum::{Json, extract::State};
use greenroom_contract::{ExecutionId, execution::Execution, page::Page, port::state::ExecutionFilter};

use crate::{
    Doors,
    http::{Id, Params, Problem, ask, ask_page},
};

pub(super) async fn list(State(doors): State<Arc<Doors>>, params: Params) -> Result<Json<Page<Execution>>, Problem> {
    let params = params.only(&["agent", "status", "trace_id", "limit", "cursor"])?;
    let filter = ExecutionFilter {
        agent: params.one("agent")?,
        status: params.many("status")?,
        trace_id: params.one("trace_id")?,
    };
    Ok(Json(ask_page(doors.state.executions(filter, params.page()?)).await?))
}

pub(super) async fn show(
    State(doors): State<Arc<Doors>>,
    Id(id): Id<ExecutionId>,
    params: Params,
) -> Result<Json<Execution>, Problem> {
    params.only(&[])?;
    find(&doors, id).await
}

pub(super) async fn cancel(
    State(doors): State<Arc<Doors>>,
    Id(id): Id<ExecutionId>,
    params: Params,
) -> Result<Json<Execution>, Problem> {
    params.only(&[])?;
    ask("the store", doors.operator.cancel(id)).await?;
    tracing::info!(execution_id = %id, "An operator cancelled the execution.");
    find(&doors, id).await
}

async fn find(doors: &Doors, id: ExecutionId) -> Result<Json<Execution>, Problem> {
    let found = ask("the store", doors.state.execution(id)).await?;
    let mut execution = found.ok_or_else(|| Problem::not_found(format!("execution {id}")))?;
    // One that has not reached the inbox has no journal; a list that is always there is easier to read.
    execution.steps.get_or_insert_default();
    Ok(Json(execution))
}
