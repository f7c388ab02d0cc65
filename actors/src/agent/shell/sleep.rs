//! Sleep: an agent that has had nothing to do for long ends for the time being, and with it its model, tools and instances.
//!
//! It goes in three steps, so that nothing said to it meanwhile is lost. Its feeder ends, and hands over what it had. Then
//! it lies down: from there on its address keeps what it is told, or has it woken by it. What was said before is heard
//! yet; if even that was nothing, it ends, and its supervisor knows that it sleeps.

use std::time::Duration;

use greenroom_contract::{status::AgentStatus, task};
use ractor::ActorRef;
use tokio::time::Instant;

use super::Shell;
use crate::{agent::message::Message, fault::ASLEEP, supervisor::State as Core};

/// How long tool servers get to end.
const CLOSE: Duration = Duration::from_secs(10);

/// What a shell leaves to the one that wakes up: sleep forgives no restarts.
pub(in crate::agent) struct Memory {
    core: Core,
    born: Instant,
}

impl Shell {
    /// Puts the agent to sleep, if it still has nothing to do since `turn`.
    pub(in crate::agent) fn passivate(&mut self, turn: u64) {
        if turn == self.turn && self.feeder.is_some() && !self.has_reason_to_stay_up() {
            self.dozing = true;
            self.feeder = None;
        }
    }

    /// A feeder has ended, and what it had handed over was heard.
    pub(in crate::agent) fn unfed(&mut self, myself: &ActorRef<Message>, feeder: u32) {
        if !self.dozing || feeder != self.feeders {
            return;
        }
        if self.has_reason_to_stay_up() {
            self.feed(myself);
            return;
        }
        self.handle.lie_down(self.supervisor.clone());
        // If it cannot be told, it has ended.
        drop(myself.send_message(Message::Rest(feeder)));
    }

    /// What was said before it lay down was heard: it ends, or gets up. Returns whether it ends.
    pub(in crate::agent) fn rest(&mut self, myself: &ActorRef<Message>, feeder: u32) -> bool {
        if !self.dozing || feeder != self.feeders || self.has_reason_to_stay_up() {
            if self.dozing {
                self.feed(myself);
            }
            self.handle.get_up(myself.clone());
            return false;
        }
        tracing::info!(agent = %self.definition.spec.name, "Agent has had nothing to do for long; it sleeps until there is work.");
        for child in self.core.names() {
            self.ports.table.bury(&format!("{}/{child}", self.path));
        }
        self.staff.abandon();
        let memory = (self.restarts > 0)
            .then(|| Box::new(Memory { core: self.core.begun_anew(self.born.elapsed()), born: self.born }));
        self.handle.remember(memory);
        self.facts.asleep();
        self.ports.table.update(&self.path, |place| {
            place.status = AgentStatus::Idle;
            place.passivated = true;
        });
        if let Some(kit) = self.kit.take() {
            task::spawn("tools-closing", async move {
                if tokio::time::timeout(CLOSE, kit.outfit.tools.close()).await.is_err() {
                    tracing::warn!("Tool servers of an agent that sleeps did not end in time.");
                }
            });
        }
        myself.stop(Some(ASLEEP.to_owned()));
        true
    }

    /// This generation begins because there is something to do.
    pub(super) fn wake_up(&mut self, memory: Option<Box<Memory>>) {
        tracing::info!(agent = %self.definition.spec.name, "Agent is woken.");
        if let Some(memory) = memory {
            (self.core, self.born) = (memory.core, memory.born);
        }
    }

    fn has_reason_to_stay_up(&self) -> bool {
        let idle = self.status().0 == AgentStatus::Idle && self.staff.is_idle();
        // Sleep would end a trial as if it had gone well, and a backoff or a slow end before its time.
        !idle || self.stopping || self.fitting_open || !self.core.is_settled(self.born.elapsed())
    }
}
