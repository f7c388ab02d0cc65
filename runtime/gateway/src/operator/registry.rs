//! Agents as the list shows them: each once, with the nodes that run it.

use greenroom_contract::{NodeId, execution::Failure, port::operator::AgentView, status::AgentStatus};
use serde::Serialize;

/// An agent, wherever it runs.
#[derive(Debug, Serialize)]
pub(super) struct Listed {
    /// How it is where it is best; `running`, `restarts` and `instances` are those of all nodes together.
    #[serde(flatten)]
    pub(super) agent: AgentView,
    /// How it is on each node that runs it.
    pub(super) nodes: Vec<OnNode>,
}

/// How an agent is on one node.
#[derive(Debug, Serialize)]
pub(super) struct OnNode {
    node: NodeId,
    status: AgentStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Failure>,
    version: String,
    running: u32,
    restarts: u32,
    instances: u32,
}

impl From<&AgentView> for OnNode {
    fn from(agent: &AgentView) -> Self {
        Self {
            node: agent.node.clone(),
            status: agent.status,
            reason: agent.reason.clone(),
            version: agent.version.clone(),
            running: agent.running,
            restarts: agent.restarts,
            instances: agent.instances,
        }
    }
}

/// Puts what each node says of an agent together. The views are sorted by name, this node's own first of each.
pub(super) fn once_each(views: Vec<AgentView>) -> Vec<Listed> {
    let mut listed: Vec<Listed> = Vec::new();
    for view in views {
        match listed.last_mut().filter(|last| last.agent.name == view.name) {
            Some(last) => last.add(view),
            None => listed.push(Listed { nodes: vec![OnNode::from(&view)], agent: view }),
        }
    }
    for one in &mut listed {
        one.nodes.sort_by(|a, b| a.node.cmp(&b.node));
    }
    listed
}

impl Listed {
    fn add(&mut self, view: AgentView) {
        self.nodes.push(OnNode::from(&view));
        let sums =
            |a: &AgentView, b: &AgentView| (a.running + b.running, a.restarts + b.restarts, a.instances + b.instances);
        let (running, restarts, instances) = sums(&self.agent, &view);
        if rank(view.status) < rank(self.agent.status) {
            self.agent = view;
        }
        (self.agent.running, self.agent.restarts, self.agent.instances) = (running, restarts, instances);
    }
}

/// An agent that works somewhere works. What is wrong with it elsewhere is said there.
fn rank(status: AgentStatus) -> u8 {
    match status {
        AgentStatus::Running => 0,
        AgentStatus::Idle => 1,
        AgentStatus::Starting => 2,
        AgentStatus::Restarting => 3,
        AgentStatus::Paused => 4,
        AgentStatus::Failed => 5,
        AgentStatus::Unavailable => 6,
        AgentStatus::Stopped => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::agent;

    #[test]
    fn an_agent_stands_there_once_with_every_node_that_runs_it() {
        let on = |name: &str, node: &str, status, running| AgentView {
            node: NodeId::new(node),
            running,
            restarts: 1,
            ..agent(name, status)
        };
        let listed = once_each(vec![
            on("a", "two", AgentStatus::Failed, 0),
            on("a", "one", AgentStatus::Idle, 0),
            on("a", "three", AgentStatus::Running, 2),
            on("b", "one", AgentStatus::Paused, 0),
        ]);
        let names: Vec<_> = listed.iter().map(|one| (one.agent.name.as_str(), one.agent.node.as_str())).collect();
        assert_eq!(names, [("a", "three"), ("b", "one")]);
        assert_eq!(
            (listed[0].agent.status, listed[0].agent.running, listed[0].agent.restarts),
            (AgentStatus::Running, 2, 3)
        );
        let nodes: Vec<_> = listed[0].nodes.iter().map(|on| (on.node.as_str(), on.status.as_str())).collect();
        assert_eq!(nodes, [("one", "idle"), ("three", "running"), ("two", "failed")]);
        let json = serde_json::to_value(&listed[1]).unwrap();
        assert_eq!((&json["name"], &json["nodes"][0]["status"]), (&"b".into(), &"paused".into()));
    }

    #[test]
    fn of_two_that_are_alike_the_nearest_is_shown() {
        let listed = once_each(vec![
            AgentView { node: NodeId::new("here"), ..agent("a", AgentStatus::Idle) },
            AgentView { node: NodeId::new("a-there"), ..agent("a", AgentStatus::Idle) },
        ]);
        assert_eq!((listed.len(), listed[0].agent.node.as_str()), (1, "here"));
    }
}
