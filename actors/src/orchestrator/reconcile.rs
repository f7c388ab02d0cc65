//! Making what runs agree with what the folder says.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use greenroom_config::{
    AgentSpec,
    diff::diff,
    load::{Definition, Loaded},
};
use greenroom_contract::{AgentId, task};

use super::registry::{Entry, Orchestrator};
use crate::{
    agent::{AgentHandle, Facts, agent},
    execution::{Behaviour, Converse},
    supervisor::Policy,
};

/// There is an agent of this name already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is an agent {0} already")]
pub struct NameTaken(pub AgentId);

impl Orchestrator {
    /// Takes up what the folder says now. A refused file is logged and keeps the last good version of its agent.
    pub fn apply(&self, loaded: Loaded) {
        for refused in &loaded.refused {
            tracing::error!(file = %refused.file.display(), problems = %refused, "A definition is refused; what ran before goes on.");
        }
        let changes = {
            let mut table = self.table();
            let loaded = without_names_taken(loaded, &table.native);
            let changes = diff(&table.desired, &loaded);
            table.desired = changes.agents.clone();
            table.refused = loaded.refused;
            self.inner.ports.sorting.take_up(&table.desired);
            changes
        };
        for kept in &changes.kept_bad {
            tracing::warn!(agent = %kept.agent, file = %kept.file.display(), "The agent goes on with its last good definition.");
        }
        for definition in changes.added {
            tracing::info!(agent = %definition.spec.name, file = %definition.file.display(), "Agent added.");
            self.add(definition);
        }
        self.inner.wanted.notify_one();
        self.inner.agenda.notify_one();
        for definition in changes.changed {
            tracing::info!(agent = %definition.spec.name, version = definition.version, "Agent changed.");
            if !self.inner.roles.runs(definition.spec.execution_mode) {
                // Its mode may have been one of this node's.
                self.remove(&definition.spec.name);
                continue;
            }
            match self.entry(&definition.spec.name) {
                Some(entry) => entry.handle.reload(Arc::new(definition)),
                None => self.add(definition),
            }
        }
        for name in changes.removed {
            tracing::info!(agent = %name, "Agent removed; it stops after its work.");
            self.remove(&name);
        }
    }

    /// Adds an agent that is written in Rust: it lives under the same supervision as those of the folder, and stays
    /// until the node ends. A name that is taken is refused.
    pub fn add_rust_agent(
        &self,
        spec: impl Into<Arc<AgentSpec>>,
        behaviour: Arc<dyn Behaviour>,
    ) -> Result<(), NameTaken> {
        let spec = spec.into();
        let (version, file) = (spec.version(), PathBuf::from("(in Rust)"));
        let definition = Definition { version, spec, file, warnings: Vec::new() };
        {
            let mut table = self.table();
            let name = definition.spec.name.clone();
            if table.actual.contains_key(&name) || table.native.contains_key(&name) {
                return Err(NameTaken(name));
            }
            table.native.insert(name, behaviour);
        }
        self.add(definition);
        self.inner.agenda.notify_one();
        Ok(())
    }

    fn add(&self, definition: Definition) {
        let native = self.table().native.contains_key(&definition.spec.name);
        if !native && !self.inner.roles.runs(definition.spec.execution_mode) {
            // Another node runs it; here it is known, so that every door takes its work.
            return;
        }
        for warning in &definition.warnings {
            tracing::warn!(agent = %definition.spec.name, "{warning}");
        }
        let definition = Arc::new(definition);
        let name = definition.spec.name.clone();
        let (entry, behaviour) = {
            let mut table = self.table();
            if table.actual.get(&name).is_some_and(|entry| entry.leaving) {
                // Its predecessor is still finishing its work; it is added when that is gone.
                return;
            }
            let facts = Arc::new(Facts::new(self.inner.ports.node.clone(), Arc::clone(&definition)));
            let entry = Entry { handle: AgentHandle::new(Arc::clone(&definition)), facts, leaving: false };
            if table.paused.contains(&name) {
                entry.handle.pause();
            }
            let behaviour =
                table.native.get(&name).map_or_else(|| Arc::new(Converse) as Arc<dyn Behaviour>, Arc::clone);
            table.actual.insert(name, entry.clone());
            (entry, behaviour)
        };
        let policy = Policy { shutdown: self.inner.grace, ..Policy::of(&definition.spec.supervision) };
        let ports = Arc::clone(&self.inner.ports);
        self.inner.agents.add(agent(ports, entry.handle, entry.facts, behaviour, policy));
    }

    fn remove(&self, name: &AgentId) {
        let Some(entry) = self.entry(name) else { return };
        if let Some(entry) = self.table().actual.get_mut(name) {
            entry.leaving = true;
        }
        let (orchestrator, name) = (self.clone(), name.clone());
        task::spawn("agent-leaving", async move {
            entry.handle.drain().await;
            entry.handle.leave(&orchestrator.inner.ports);
            let queue = name.input_topic();
            // It may be wanted again, or run on other nodes only: then its queue is still its own.
            let unwanted = !orchestrator.table().desired.contains_key(&name);
            if unwanted && let Err(error) = orchestrator.inner.ports.bus.retire(&queue).await {
                tracing::warn!(agent = %name, %error, "The queue of a removed agent could not be unbound.");
            }
            orchestrator.inner.agents.remove(name.as_str());
            orchestrator.inner.ports.storm.left(name.as_str());
            let again = {
                let mut table = orchestrator.table();
                table.actual.remove(&name);
                table.desired.get(&name).cloned()
            };
            tracing::info!(agent = %name, "Agent stopped.");
            if let Some(definition) = again {
                orchestrator.add(definition);
            }
        });
    }
}

/// The folder without the agents whose names are those of agents in Rust.
fn without_names_taken(mut loaded: Loaded, native: &BTreeMap<AgentId, Arc<dyn Behaviour>>) -> Loaded {
    loaded.agents.retain(|name, definition| {
        let taken = native.contains_key(name);
        if taken {
            tracing::error!(agent = %name, file = %definition.file.display(), "A definition is passed over: an agent in Rust has its name.");
        }
        !taken
    });
    loaded
}
