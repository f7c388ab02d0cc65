//! Versions: a definition is fitted out beside the one that runs, and takes over when it is ready.

use std::sync::Arc;

use greenroom_config::load::Definition;
use greenroom_contract::execution::Failure;
use ractor::ActorRef;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::Shell;
use crate::{
    agent::{feeder::Feeder, fitting::fit, message::Message},
    execution::Kit,
    supervisor::{Event, Policy},
};

impl Shell {
    pub(in crate::agent) fn fit_out(&mut self, myself: &ActorRef<Message>) {
        self.fitting += 1;
        fit(Arc::clone(&self.ports), Arc::clone(&self.definition), self.fitting, myself.clone());
    }

    pub(in crate::agent) fn reload(&mut self, myself: &ActorRef<Message>, definition: Arc<Definition>) {
        self.definition = definition;
        self.fit_out(myself);
    }

    pub(in crate::agent) async fn fitted(
        &mut self,
        myself: &ActorRef<Message>,
        fitting: u32,
        definition: Arc<Definition>,
        result: Result<Arc<Kit>, Failure>,
    ) {
        if fitting != self.fitting || self.stopping {
            return;
        }
        let agent = definition.spec.name.to_string();
        match result {
            Ok(kit) => {
                tracing::info!(agent, version = kit.version, "Agent is ready.");
                self.unavailable = None;
                self.facts.took_over(&definition, &kit);
                self.take_over(myself, kit).await;
            }
            Err(failure) if self.kit.is_some() => {
                tracing::error!(agent, error = %failure, "The changed definition cannot be used; the last good one goes on.");
                self.ports.table.failed(&self.path, failure, None);
            }
            Err(failure) => {
                let trace_id = greenroom_contract::TraceId::new();
                tracing::error!(agent, %trace_id, error = %failure, "Agent is unavailable.");
                self.ports.table.failed(&self.path, failure.clone(), Some(trace_id));
                self.unavailable = Some(failure);
            }
        }
    }

    async fn take_over(&mut self, myself: &ActorRef<Message>, kit: Arc<Kit>) {
        let before = self.kit.replace(Arc::clone(&kit));
        if before.is_none_or(|before| before.spec.capacity() != kit.spec.capacity()) {
            // What is at work keeps its credits of the old count; for a while both counts are at work.
            self.credits = Arc::new(Semaphore::new(kit.spec.capacity() as usize));
        }
        let policy = Policy::of(&kit.spec.supervision);
        let wanted = if kit.spec.ordered() { 1 } else { kit.spec.instances };
        let surplus: Vec<String> =
            self.core.names().filter(|name| name.parse::<u32>().is_ok_and(|n| n >= wanted)).map(String::from).collect();
        for child in surplus {
            self.decide(myself, Event::Remove { child }).await;
        }
        for n in 0..wanted {
            let child = n.to_string();
            self.core.set_policy(&child, policy.clone());
            self.decide(myself, Event::Add { child, policy: policy.clone() }).await;
        }
        self.feed(myself);
    }

    /// Starts the feeder, or a new one in place of the old, if the agent is to take work.
    pub(super) fn feed(&mut self, myself: &ActorRef<Message>) {
        let (Some(kit), false, false, None) = (&self.kit, self.paused, self.stopping, &self.parked) else {
            self.feeder = None;
            return;
        };
        let feeder = Feeder {
            ports: Arc::clone(&self.ports),
            kit: Arc::clone(kit),
            credits: Arc::clone(&self.credits),
            poke: Arc::clone(&self.poke),
            agent: myself.clone(),
            stop: CancellationToken::new(),
        };
        self.feeder = Some(feeder.start());
    }
}
