//! Before the first step: is everybody there, and are their tools ready?

use std::{collections::BTreeSet, time::Duration};

use greenroom_config::spec::{NotReady, ToolConfig};
use greenroom_contract::{
    AgentId,
    execution::Failure,
    plan::{Plan, StepRun},
    port::operator::AgentView,
    status::{AgentStatus, Purpose},
};
use serde_json::json;
use tokio::time::Instant;

use super::prompts;
use crate::{
    cluster::NODE_UNHEARD,
    execution::{Context, Trouble},
};

/// The name of the step in which people are asked.
const ASKS: &str = "ready";
/// So long an agent may take to come that is on its way, or on a node that was not heard yet.
const ON_ITS_WAY: Duration = Duration::from_secs(30);
/// So long what is missing may take to mend itself: a tool server that is started again, for one.
const MISSING: Duration = Duration::from_secs(3);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// How long a look and the wait after it may take.
const SILENCE: Duration = Duration::from_secs(10);

/// Something that a plan needs and that is not there.
#[derive(Debug, PartialEq, Eq)]
struct Lack {
    what: String,
    /// Whether it is on its way, as far as can be told.
    may_come: bool,
}

/// Waits until the agents of the steps that are to be done are ready. If they do not come to be, people are asked, or the run fails, as
/// the coordinator's file says: before anything was paid for a step. A run that was ready once is not asked again after a restart.
pub(super) async fn check(
    context: &mut Context,
    plan: &Plan,
    steps: &[StepRun],
    otherwise: NotReady,
    expires_in_s: u64,
) -> Result<(), Trouble> {
    let open = plan.steps.iter().zip(steps).filter(|(_, run)| !run.status.is_final());
    let agents: BTreeSet<AgentId> = open.map(|(planned, _)| planned.agent.clone()).collect();
    for round in 0.. {
        let mut lacks = Vec::new();
        if !context.has_asked_people(ASKS) {
            if otherwise == NotReady::GoOn || context.is_replaying() {
                return Ok(());
            }
            lacks = settle(context, &agents).await?;
            if lacks.is_empty() {
                return Ok(());
            }
        }
        let what = lacks.iter().map(|lack| lack.what.as_str()).collect::<Vec<_>>().join("; ");
        if otherwise == NotReady::Fail {
            return Err(Trouble::Failed { failure: Failure::new("not_ready", what), lasting: true });
        }
        let about = json!({ "round": round });
        let question = prompts::of_readiness(&what, expires_in_s);
        let Some(answer) = context.ask_people(Purpose::Tool, ASKS, &about, question).await? else {
            return Err(Trouble::Waiting);
        };
        match answer["content"].as_str() {
            Some(prompts::LOOK_AGAIN) => {}
            Some(prompts::GO_ON) => return Ok(()),
            _ => {
                return Err(Trouble::lasting(
                    "not_ready",
                    "what the plan needs was not there, and nobody wanted to go on",
                ));
            }
        }
    }
    Ok(())
}

/// What is missing, once that has had its time to come.
async fn settle(context: &Context, agents: &BTreeSet<AgentId>) -> Result<Vec<Lack>, Trouble> {
    let began = Instant::now();
    loop {
        let mut lacks = Vec::new();
        for agent in agents {
            let Some(views) = context.views_of(agent) else { return Ok(Vec::new()) };
            lacks.extend(lack(agent, &views));
        }
        let patience = if lacks.iter().all(|lack| lack.may_come) { ON_ITS_WAY } else { MISSING };
        if lacks.is_empty() || began.elapsed() >= patience {
            return Ok(lacks);
        }
        context.working("waiting for who is needed", SILENCE);
        tokio::select! {
            () = context.cancelled() => return Err(Trouble::Cancelled),
            () = tokio::time::sleep(BETWEEN_LOOKS) => {}
        }
    }
}

/// What is missing of an agent, as the nodes show it: nothing, if it is well on one of them. Who sleeps is woken by its step.
fn lack(agent: &AgentId, views: &[AgentView]) -> Option<Lack> {
    let mut worst: Option<Lack> = None;
    for view in views {
        let reason = view.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let lack = match view.status {
            AgentStatus::Idle | AgentStatus::Running if view.degraded.is_empty() => return None,
            AgentStatus::Idle | AgentStatus::Running => {
                Lack { what: format!("{agent} has tools that are down: {}", view.degraded.join(", ")), may_come: false }
            }
            status => {
                let is_unheard = view.reason.as_ref().is_some_and(|reason| reason.code == NODE_UNHEARD);
                let may_come = is_unheard || matches!(status, AgentStatus::Starting | AgentStatus::Restarting);
                Lack { what: format!("{agent} is {status}{reason}"), may_come }
            }
        };
        worst.get_or_insert(lack);
    }
    let nowhere = || Lack { what: format!("{agent} is not there: no node runs it"), may_come: true };
    Some(worst.unwrap_or_else(nowhere))
}

/// The tools of a plan's agents of which each call needs a permission, for whoever allows the plan.
pub(super) fn permissions(context: &Context, plan: &Plan) -> Vec<String> {
    let agents: BTreeSet<&AgentId> = plan.steps.iter().map(|step| &step.agent).collect();
    let mut needed = Vec::new();
    for agent in agents {
        let Some(spec) = context.spec_of(agent) else { continue };
        let tools = spec.tools.iter().filter_map(|tool| match tool {
            ToolConfig::Mcp(tool) if !tool.mcp.confirm.is_empty() => Some(tool.mcp.confirm.join(", ")),
            _ => None,
        });
        needed.extend(tools.map(|tools| format!("{tools} (by {agent})")));
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(status: AgentStatus, degraded: &[&str], code: Option<&str>) -> AgentView {
        let view = json!({
            "name": "ada", "agent_type": "t", "execution_mode": "autonomous", "status": status, "node": "n", "restarts": 0,
            "version": "v", "file": "f", "model": "m", "tools": [], "degraded": degraded, "subscriptions": [], "instances": 1,
            "running": 0, "reason": code.map(|code| Failure::new(code, "why")),
        });
        serde_json::from_value(view).unwrap()
    }

    #[test]
    fn an_agent_is_ready_where_it_is_well_on_one_node() {
        let ada: AgentId = "ada".parse().unwrap();
        let look = |views: &[AgentView]| lack(&ada, views).map(|lack| (lack.what, lack.may_come));
        let well = view(AgentStatus::Idle, &[], None);
        assert_eq!(look(std::slice::from_ref(&well)), None);
        assert_eq!(look(&[view(AgentStatus::Failed, &[], None), well]), None);
        assert_eq!(look(&[]), Some(("ada is not there: no node runs it".into(), true)));
        let down = look(&[view(AgentStatus::Running, &["files is down"], None)]).unwrap();
        assert_eq!(down, ("ada has tools that are down: files is down".into(), false));
        let gone = look(&[view(AgentStatus::Unavailable, &[], Some(NODE_UNHEARD))]).unwrap();
        assert!(gone.1 && gone.0.starts_with("ada is unavailable: "), "{gone:?}");
        assert_eq!(look(&[view(AgentStatus::Paused, &[], None)]), Some(("ada is paused".into(), false)));
        assert!(look(&[view(AgentStatus::Starting, &[], None)]).unwrap().1);
    }
}
