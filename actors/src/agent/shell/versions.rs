//! Versions: a definition is fitted out beside the one that runs, and takes over when it is ready.

use std::{sync::Arc, time::Duration};

use greenroom_config::{AgentSpec, load::Definition};
use greenroom_contract::execution::Failure;
use ractor::ActorRef;
use tokio::sync::Semaphore;

use super::Shell;
use crate::{
    agent::{feeder::Feeder, fitting::fit, message::Message},
    execution::Kit,
    supervisor::{Event, Policy},
};

/// The wait before an agent that could not be fitted out is tried again: doubled each time, up to the bound below.
const FIT_AGAIN: Duration = Duration::from_secs(15);
const FIT_AGAIN_AT_MOST: Duration = Duration::from_secs(300);

impl Shell {
    pub(in crate::agent) fn fit_out(&mut self, myself: &ActorRef<Message>) {
        self.fitting += 1;
        self.fitting_open = true;
        let (ports, behaviour) = (Arc::clone(&self.ports), Arc::clone(&self.behaviour));
        let first = self.kit.is_none();
        fit(ports, Arc::clone(&self.definition), behaviour, self.fitting, first, myself.clone());
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
        self.fitting_open = false;
        let agent = definition.spec.name.to_string();
        match result {
            Ok(kit) => {
                tracing::info!(agent, version = kit.version, "Agent is ready.");
                self.unavailable = None;
                self.unfit = 0;
                self.facts.took_over(definition, &kit);
                self.shown = None;
                self.take_over(myself, kit).await;
            }
            Err(failure) if self.kit.is_some() => {
                tracing::error!(agent, error = %failure, "The changed definition cannot be used; the last good one goes on.");
                self.ports.table.failed(&self.path, failure, None);
            }
            Err(failure) => {
                let after = FIT_AGAIN.saturating_mul(2_u32.saturating_pow(self.unfit.min(8))).min(FIT_AGAIN_AT_MOST);
                self.unfit += 1;
                if self.unavailable.as_ref() != Some(&failure) {
                    let trace_id = greenroom_contract::TraceId::new();
                    tracing::error!(
                        agent, %trace_id, error = %failure, again_in_ms = after.as_millis() as u64, "Agent is unavailable."
                    );
                    self.ports.table.failed(&self.path, failure.clone(), Some(trace_id));
                    self.unavailable = Some(failure);
                }
                myself.send_after(after, move || Message::FitAgain(fitting));
            }
        }
    }

    /// What the agent lacked may be there now.
    pub(in crate::agent) fn fit_again(&mut self, myself: &ActorRef<Message>, fitting: u32) {
        if fitting == self.fitting && !self.fitting_open && !self.stopping && self.unavailable.is_some() {
            self.fit_out(myself);
        }
    }

    async fn take_over(&mut self, myself: &ActorRef<Message>, kit: Arc<Kit>) {
        let before = self.kit.replace(Arc::clone(&kit));
        if before.is_none_or(|before| before.spec.capacity() != kit.spec.capacity()) {
            // What is at work keeps its credits of the old count; for a while both counts are at work.
            self.credits = Arc::new(Semaphore::new(kit.spec.capacity() as usize));
        }
        let policy = Policy::of(&kit.spec.supervision);
        let wanted = instances(&kit.spec);
        let surplus: Vec<String> =
            self.core.names().filter(|name| name.parse::<u32>().is_ok_and(|n| n >= wanted)).map(String::from).collect();
        for child in surplus {
            self.decide(myself, Event::Remove { child }).await;
        }
        for n in 0..wanted {
            self.core.set_policy(&n.to_string(), policy.clone());
        }
        if self.parked.take().is_some() {
            self.next_trial = None;
            // Whatever it failed of, it is another agent now.
            let children: Vec<String> = self.core.names().map(String::from).collect();
            for child in children {
                self.decide(myself, Event::Refresh { child }).await;
            }
        }
        self.feed(myself);
    }

    /// The policy of an instance that is to be up, if it is.
    pub(super) fn wanted(&self, child: &str) -> Option<Policy> {
        let kit = self.kit.as_ref().filter(|_| !self.stopping)?;
        let wanted = instances(&kit.spec);
        child.parse::<u32>().is_ok_and(|n| n < wanted).then(|| Policy::of(&kit.spec.supervision))
    }

    /// Starts the feeder, or a new one in place of the old, if the agent is to take work.
    pub(super) fn feed(&mut self, myself: &ActorRef<Message>) {
        self.feeder = None;
        self.dozing = false;
        if self.paused || self.stopping || self.parked.is_some() {
            return;
        }
        let Some(kit) = &self.kit else { return };
        let credits = match &self.storm {
            Some(hold) if !hold.probing => return,
            // A trial is one piece of work.
            Some(_) => Arc::new(Semaphore::new(1)),
            None => Arc::clone(&self.credits),
        };
        self.feeders += 1;
        let feeder = Feeder {
            number: self.feeders,
            ports: Arc::clone(&self.ports),
            kit: Arc::clone(kit),
            credits,
            poke: Arc::clone(&self.poke),
            handle: self.handle.clone(),
            agent: myself.clone(),
            stop: self.tenure.token(),
            tenure: Arc::clone(&self.tenure),
        };
        self.feeder = Some(feeder.start());
    }
}

/// How many instances there may be.
pub(super) fn instances(spec: &AgentSpec) -> u32 {
    if spec.ordered() { 1 } else { spec.instances }
}
