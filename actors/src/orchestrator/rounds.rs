//! The rounds: one service of the node that asks every agent whether it answers, and sends to sleep who has had nothing
//! to do for long. Agents have no timers of their own for this.

use std::time::Duration;

use greenroom_contract::AgentId;

use super::registry::{Entry, Orchestrator};
use crate::{agent::Care, service::every, supervisor::ChildSpec};

/// How often the rounds are made: lateness is seen within this.
const EVERY: Duration = Duration::from_millis(500);

/// The rounds as a service of the node.
pub fn rounds(orchestrator: Orchestrator) -> ChildSpec {
    every("rounds", EVERY, move || {
        let orchestrator = orchestrator.clone();
        async move { orchestrator.make_rounds() }
    })
}

impl Orchestrator {
    fn make_rounds(&self) {
        let due: Vec<(AgentId, Entry, Care)> = {
            let table = self.table();
            let cared = table.actual.iter().map(|(name, entry)| (name, entry, entry.care()));
            let due = cared.filter(|(_, _, care)| *care != Care::Nothing);
            due.map(|(name, entry, care)| (name.clone(), entry.clone(), care)).collect()
        };
        for (agent, entry, care) in due {
            match care {
                Care::Nothing => {}
                Care::Ping => {
                    if !entry.handle.ping() {
                        entry.facts.nobody();
                    }
                }
                Care::Late => tracing::warn!(%agent, "Agent does not answer; it is waited for."),
                Care::Kill => {
                    tracing::error!(%agent, "Agent does not answer: its shell is killed and started anew.");
                    self.end_deaf(&agent);
                }
                Care::Passivate(turn) => entry.handle.passivate(turn),
            }
        }
    }
}

impl Orchestrator {
    /// By way of the supervisor, which waits for a shell that holds its thread no longer than for any other.
    pub(crate) fn end_deaf(&self, agent: &AgentId) {
        self.inner.agents.kill(agent.as_str());
    }
}

impl Entry {
    fn care(&self) -> Care {
        self.facts.care(&self.handle.definition())
    }
}
