//! Which path leads where.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use serde_json::{Value, json};

use super::{
    agents, clarifications, dead_letters, events, executions, health, invoke, later, moving, nodes, plans, queues,
    schedules, states, stream, tasks, traces, tree, usage,
};
use crate::{
    Doors,
    http::{Params, Problem},
};

pub(crate) fn routes() -> Router<Arc<Doors>> {
    Router::new()
        .route("/health", get(health::all))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/v1/version", get(version))
        .route("/v1/tree", get(tree::show))
        .route("/v1/agents", get(agents::list))
        .route("/v1/agents/{id}", get(agents::show))
        .route("/v1/agents/{id}/invoke", post(invoke::invoke))
        .route("/v1/agents/{id}/restart", post(agents::restart))
        .route("/v1/agents/{id}/pause", post(agents::pause))
        .route("/v1/agents/{id}/resume", post(agents::resume))
        .route("/v1/agents/{id}/conversations", get(states::conversations))
        .route("/v1/agents/{id}/state", get(states::show).delete(states::reset))
        .route("/v1/agents/{id}/state/messages", get(states::messages))
        .route("/v1/agents/{id}/reset", post(states::reset))
        .route("/v1/agents/{id}/export", get(moving::export))
        .route("/v1/agents/{id}/import", post(moving::import))
        .route("/v1/executions", get(executions::list))
        .route("/v1/executions/{id}", get(executions::show))
        .route("/v1/executions/{id}/cancel", post(executions::cancel))
        .route("/v1/clarifications", get(clarifications::list))
        .route("/v1/clarifications/{id}", get(clarifications::show))
        .route("/v1/clarifications/{id}/answer", post(clarifications::answer))
        .route("/v1/nodes", get(nodes::list))
        .route("/v1/queues", get(queues::list))
        .route("/v1/dead-letters", get(dead_letters::list))
        .route("/v1/dead-letters/{id}", get(dead_letters::show).delete(dead_letters::purge))
        .route("/v1/dead-letters/{id}/replay", post(dead_letters::replay))
        .route("/v1/tasks", post(tasks::start))
        .route("/v1/plans", get(plans::list))
        .route("/v1/plans/{id}", get(plans::show))
        .route("/v1/plans/{id}/approve", post(plans::approve))
        .route("/v1/plans/{id}/cancel", post(plans::cancel))
        .route("/v1/plans/{id}/retry", post(plans::retry))
        .route("/v1/plans/{id}/stream", get(plans::stream))
        .route("/v1/schedules", get(schedules::list))
        .route("/v1/schedules/{id}", get(schedules::show))
        .route("/v1/schedules/{id}/trigger", post(schedules::trigger))
        .route("/v1/schedules/{id}/pause", post(schedules::pause))
        .route("/v1/schedules/{id}/resume", post(schedules::resume))
        .route("/v1/usage", get(usage::show))
        .route("/v1/traces/{trace_id}", get(traces::show))
        .route("/v1/events", post(events::publish))
        .merge(stream::routes())
        .merge(later::routes())
}

async fn version(State(doors): State<Arc<Doors>>, params: Params) -> Result<Json<Value>, Problem> {
    params.only(&[])?;
    Ok(Json(json!({ "name": "greenroom", "version": doors.version })))
}
