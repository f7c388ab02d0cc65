//! Who is there: how executions ask after other agents, wherever these run.

use std::sync::{Arc, OnceLock, Weak};

use greenroom_config::AgentSpec;
use greenroom_contract::{AgentId, port::operator::AgentView};

use super::registry::{Inner, Orchestrator};

/// The node's view of all agents. Nobody knows anything before there is an orchestrator.
#[derive(Default)]
pub struct Who(OnceLock<Weak<Inner>>);

impl Who {
    /// From here on this orchestrator is asked.
    pub(super) fn is_known_by(&self, inner: &Arc<Inner>) {
        self.0.set(Arc::downgrade(inner)).ok();
    }

    /// An agent's definition in the folder, which every node has whole.
    pub(crate) fn spec(&self, agent: &AgentId) -> Option<Arc<AgentSpec>> {
        let orchestrator = Orchestrator { inner: self.0.get()?.upgrade()? };
        orchestrator.table().desired.get(agent).map(|definition| Arc::clone(&definition.spec))
    }

    /// An agent as every node shows it that runs it and was heard of; `None` where nobody can be asked.
    pub(crate) fn views(&self, agent: &AgentId) -> Option<Vec<AgentView>> {
        let orchestrator = Orchestrator { inner: self.0.get()?.upgrade()? };
        let here = orchestrator.table().actual.get(agent).filter(|entry| !entry.leaving).cloned();
        let mut views: Vec<_> = here.iter().map(|entry| entry.facts.view()).collect();
        views.extend(orchestrator.cluster().into_iter().flat_map(|cluster| cluster.agent(agent)));
        Some(views)
    }
}
