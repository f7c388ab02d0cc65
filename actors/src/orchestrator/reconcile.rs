//! Making what runs agree with what the folder says.

use std::sync::Arc;

use greenroom_config::{
    diff::diff,
    load::{Definition, Loaded},
};
use greenroom_contract::{AgentId, task};

use super::registry::{Entry, Orchestrator};
use crate::{
    agent::{AgentHandle, Facts, agent},
    supervisor::Policy,
};

impl Orchestrator {
    /// Takes up what the folder says now. A refused file is logged and keeps the last good version of its agent.
    pub fn apply(&self, loaded: Loaded) {
        for refused in &loaded.refused {
            tracing::error!(file = %refused.file.display(), problems = %refused, "A definition is refused; what ran before goes on.");
        }
        let changes = {
            let mut table = self.table();
            let changes = diff(&table.desired, &loaded);
            table.desired = changes.agents.clone();
            table.refused = loaded.refused;
            changes
        };
        for kept in &changes.kept_bad {
            tracing::warn!(agent = %kept.agent, file = %kept.file.display(), "The agent goes on with its last good definition.");
        }
        for definition in changes.added {
            tracing::info!(agent = %definition.spec.name, file = %definition.file.display(), "Agent added.");
            self.add(definition);
        }
        for definition in changes.changed {
            tracing::info!(agent = %definition.spec.name, version = definition.version, "Agent changed.");
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

    fn add(&self, definition: Definition) {
        for warning in &definition.warnings {
            tracing::warn!(agent = %definition.spec.name, "{warning}");
        }
        if definition.spec.schedule.is_some() {
            tracing::warn!(agent = %definition.spec.name, "Schedules do not fire yet in this version; the agent can be woken in every other way.");
        }
        let definition = Arc::new(definition);
        let name = definition.spec.name.clone();
        let entry = {
            let mut table = self.table();
            if table.actual.get(&name).is_some_and(|entry| entry.leaving) {
                // Its predecessor is still finishing its work; it is added when that is gone.
                return;
            }
            let facts = Arc::new(Facts::new(self.inner.ports.node.clone(), &definition));
            let entry = Entry { handle: AgentHandle::default(), facts, leaving: false };
            table.actual.insert(name, entry.clone());
            entry
        };
        // A definition that changed while the agent's actor was being restarted is read from here again.
        let policy = Policy { shutdown: self.inner.grace, ..Policy::of(&definition.spec.supervision) };
        self.inner.agents.add(agent(Arc::clone(&self.inner.ports), definition, entry.handle, entry.facts, policy));
    }

    fn remove(&self, name: &AgentId) {
        let Some(entry) = self.entry(name) else { return };
        if let Some(entry) = self.table().actual.get_mut(name) {
            entry.leaving = true;
        }
        let (orchestrator, name) = (self.clone(), name.clone());
        task::spawn("agent-leaving", async move {
            entry.handle.drain().await;
            let queue = name.input_topic();
            if let Err(error) = orchestrator.inner.ports.bus.retire(&queue).await {
                tracing::warn!(agent = %name, %error, "The queue of a removed agent could not be unbound.");
            }
            orchestrator.inner.agents.remove(name.as_str());
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
