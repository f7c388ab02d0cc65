//! Sleep: an agent that has had nothing to do for long lets its model, tools and instances go; work wakes it.

use std::{sync::Arc, time::Duration};

use greenroom_contract::task;
use ractor::ActorRef;

use super::Shell;
use crate::{
    agent::{message::Message, sentry::Sentry},
    supervisor::Event,
};

/// How long tool servers get to end.
const CLOSE: Duration = Duration::from_secs(10);

impl Shell {
    /// Puts the agent to sleep, if it still has nothing to do since `turn`.
    pub(in crate::agent) async fn passivate(&mut self, myself: &ActorRef<Message>, turn: u64) {
        if turn != self.turn || self.has_reason_to_stay_up() {
            return;
        }
        let Some(kit) = self.kit.take() else { return };
        tracing::info!(agent = %self.definition.spec.name, "Agent has had nothing to do for long; it sleeps until there is work.");
        self.passivated = true;
        self.facts.asleep();
        let children: Vec<String> = self.core.names().map(String::from).collect();
        for child in children {
            self.decide(myself, Event::Remove { child }).await;
        }
        // The old feeder gives back what it still holds, and what it has claimed already wakes the agent again.
        self.feed(myself);
        task::spawn("tools-closing", async move {
            if tokio::time::timeout(CLOSE, kit.outfit.tools.close()).await.is_err() {
                tracing::warn!("Tool servers of an agent that sleeps did not end in time.");
            }
        });
    }

    /// There is work: fit out again, then hand out.
    pub(in crate::agent) fn wake(&mut self, myself: &ActorRef<Message>) {
        if self.passivated && !self.fitting_open && !self.stopping {
            tracing::info!(agent = %self.definition.spec.name, "Agent is woken.");
            self.fit_out(myself);
        }
    }

    fn has_reason_to_stay_up(&self) -> bool {
        let held_back = self.paused || self.parked.is_some() || self.unavailable.is_some() || self.storm.is_some();
        !self.staff.is_idle() || self.stopping || self.fitting_open || held_back
    }

    pub(super) fn sentry(&self, myself: &ActorRef<Message>) -> Sentry {
        Sentry {
            ports: Arc::clone(&self.ports),
            definition: Arc::clone(&self.definition),
            poke: Arc::clone(&self.poke),
            agent: myself.clone(),
            stop: self.tenure.token(),
        }
    }
}
