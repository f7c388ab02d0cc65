//! What operators may ask.

use ractor::ActorRef;
use tokio::time::Instant;

use super::Shell;
use crate::{agent::message::Message, supervisor::Event};

impl Shell {
    pub(in crate::agent) fn pong(&self, asked: Instant) {
        let ping = self.facts.pong(asked);
        self.ports.table.update(&self.path, |place| place.ping = Some(ping));
    }

    pub(in crate::agent) fn pause(&mut self) {
        self.paused = true;
        self.feeder = None;
    }

    pub(in crate::agent) fn resume(&mut self, myself: &ActorRef<Message>) {
        self.paused = false;
        self.feed(myself);
    }

    pub(in crate::agent) async fn restart(&mut self, myself: &ActorRef<Message>) {
        tracing::info!(agent = %self.definition.spec.name, "Agent is started afresh by an operator.");
        self.parked = None;
        self.next_trial = None;
        self.paused = false;
        let children: Vec<String> = self.core.names().map(String::from).collect();
        for child in children {
            self.decide(myself, Event::Refresh { child }).await;
        }
        // Credentials and tool servers may have changed, not only the agent's luck.
        self.fit_out(myself);
    }
}
