//! `/v1/agents`: the registry, and an agent's verbs.

use std::sync::Arc;

use axum::{Json, extract::State};
use greenroom_contract::{AgentId, page::Page, status::AgentStatus};

use super::registry::{Listed, once_each};
use crate::{
    Doors,
    http::{Id, Params, Problem, ask},
};

pub(super) async fn list(State(doors): State<Arc<Doors>>, params: Params) -> Result<Json<Page<Listed>>, Problem> {
    let params = params.only(&["status", "type", "mode", "node"])?;
    let status: Vec<AgentStatus> = params.many("status")?;
    let types: Vec<String> = params.many("type")?;
    let modes: Vec<String> = params.many("mode")?;
    let nodes: Vec<String> = params.many("node")?;
    let mut agents = doors.operator.agents();
    agents.retain(|agent| {
        (types.is_empty() || types.contains(&agent.agent_type))
            && (modes.is_empty() || modes.contains(&agent.execution_mode))
            && (nodes.is_empty() || nodes.iter().any(|node| node == agent.node.as_str()))
    });
    let mut agents = once_each(agents);
    agents.retain(|listed| status.is_empty() || status.contains(&listed.agent.status));
    Ok(Json(Page::whole(agents)))
}

pub(super) async fn show(
    State(doors): State<Arc<Doors>>,
    Id(agent): Id<AgentId>,
    params: Params,
) -> Result<Json<Listed>, Problem> {
    params.only(&[])?;
    find(&doors, &agent)
}

pub(super) async fn restart(
    State(doors): State<Arc<Doors>>,
    Id(agent): Id<AgentId>,
    params: Params,
) -> Result<Json<Listed>, Problem> {
    params.only(&[])?;
    ask("the agent", doors.operator.restart(&agent)).await?;
    tracing::info!(%agent, "An operator restarted the agent.");
    find(&doors, &agent)
}

pub(super) async fn pause(
    State(doors): State<Arc<Doors>>,
    Id(agent): Id<AgentId>,
    params: Params,
) -> Result<Json<Listed>, Problem> {
    params.only(&[])?;
    ask("the agent", doors.operator.pause(&agent)).await?;
    tracing::info!(%agent, "An operator paused the agent.");
    find(&doors, &agent)
}

pub(super) async fn resume(
    State(doors): State<Arc<Doors>>,
    Id(agent): Id<AgentId>,
    params: Params,
) -> Result<Json<Listed>, Problem> {
    params.only(&[])?;
    ask("the agent", doors.operator.resume(&agent)).await?;
    tracing::info!(%agent, "An operator let the agent go on.");
    find(&doors, &agent)
}

fn find(doors: &Doors, agent: &AgentId) -> Result<Json<Listed>, Problem> {
    let views = doors.operator.agents().into_iter().filter(|view| view.name == *agent).collect();
    once_each(views).pop().map(Json).ok_or_else(|| Problem::not_found(format!("agent {:?}", agent.as_str())))
}
