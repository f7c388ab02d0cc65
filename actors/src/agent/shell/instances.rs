//! Instances: started, restarted within the budget, and parked when it is spent.

use std::{collections::VecDeque, sync::Arc};

use greenroom_contract::{execution::Failure, status::AgentStatus};
use jiff::Timestamp;
use ractor::{ActorId, ActorRef};

use super::Shell;
use crate::{
    agent::{instance, message::Message},
    supervisor::{Action, Event, Exit, step},
};

impl Shell {
    pub(in crate::agent) async fn instance_ended(&mut self, myself: &ActorRef<Message>, id: ActorId, exit: Exit) {
        let Some((child, generation, held)) = self.staff.left(id) else { return };
        if let Some(failure) = exit.failure() {
            tracing::warn!(agent = %self.definition.spec.name, instance = child, error = %failure, "An instance ended abnormally.");
            self.ports.table.failed(&format!("{}/{child}", self.path), failure.clone(), None);
        }
        self.give_back(held);
        self.decide(myself, Event::Exited { child, generation, exit }).await;
        self.call_in(myself).await;
    }

    pub(in crate::agent) fn kill(&mut self, instance: ActorId) {
        self.staff.kill(instance);
    }

    pub(in crate::agent) async fn decide(&mut self, myself: &ActorRef<Message>, event: Event) {
        // What is done about it writes to the instances' places too.
        self.shown = None;
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in step(&mut self.core, event, self.born.elapsed(), greenroom_contract::jitter()) {
                events.extend(self.carry_out(myself, action).await);
            }
        }
    }

    async fn carry_out(&mut self, myself: &ActorRef<Message>, action: Action) -> Option<Event> {
        match action {
            Action::Start { child, generation } => {
                self.try_again(myself);
                return Some(self.start_instance(myself, child, generation).await);
            }
            Action::Stop { child, within, .. } => {
                if let Some(instance) = self.staff.dismiss(&child) {
                    myself.send_after(within, move || Message::Overdue { instance });
                }
            }
            Action::Wake { child, generation, after } => {
                self.restarts += 1;
                self.ports.table.update(&format!("{}/{child}", self.path), |place| {
                    place.status = AgentStatus::Restarting;
                    place.restarts += 1;
                });
                tracing::info!(
                    agent = %self.definition.spec.name, instance = child, restart_in_ms = after.as_millis() as u64,
                    "An instance is restarted."
                );
                myself.send_after(after, move || Message::Due { child, generation });
            }
            Action::Park { child, exit } => self.park(&child, &exit),
            Action::Forget { child } => {
                self.ports.table.bury(&format!("{}/{child}", self.path));
                // It was let go and is wanted again before it had ended.
                let policy = self.wanted(&child)?;
                return Some(Event::Add { child, policy });
            }
            Action::Retry { child, generation, after } => {
                self.next_trial = Timestamp::now().checked_add(after).ok();
                myself.send_after(after, move || Message::Due { child, generation });
            }
            // Instances are parked, no policy of theirs says otherwise; and they sleep and stop with their agent.
            Action::Rest { .. } | Action::Escalate { .. } | Action::AllStopped => {}
        }
        None
    }

    /// A start after the budget was spent is a trial: the agent takes work again, and the next failure parks it at once.
    fn try_again(&mut self, myself: &ActorRef<Message>) {
        if let Some(cause) = self.parked.take() {
            tracing::info!(agent = %self.definition.spec.name, error = %cause, "A parked agent is tried again.");
            self.next_trial = None;
            self.feed(myself);
        }
    }

    async fn start_instance(&mut self, myself: &ActorRef<Message>, child: String, generation: u32) -> Event {
        let path = format!("{}/{child}", self.path);
        self.ports.table.enter(&path, "instance", AgentStatus::Running);
        let args = instance::Args {
            ports: Arc::clone(&self.ports),
            path,
            agent_path: self.path.clone(),
            name: self.definition.spec.name.clone(),
            agent: myself.clone(),
            failures_before_restart: self.definition.spec.supervision.failures_before_restart,
        };
        // Boxed, or every shell would keep room for the start of an instance in its own future, all its life.
        match Box::pin(instance::start(args, myself.get_cell())).await {
            Ok(actor) => {
                self.staff.joined(&child, generation, actor);
                Event::Started { child, generation }
            }
            Err(failure) => Event::Exited { child, generation, exit: Exit::StartFailed(failure) },
        }
    }

    fn park(&mut self, child: &str, exit: &Exit) {
        let cause = exit.failure().cloned().unwrap_or_else(|| Failure::new("ended", "it ended by itself"));
        let max = self.definition.spec.supervision.max_restarts;
        let window = self.definition.spec.supervision.window;
        let why = format!("it was restarted {max} times within {window} and failed again; last cause: {cause}");
        tracing::error!(agent = %self.definition.spec.name, error = %cause, "Agent is parked as failed; its messages wait in the queue.");
        self.ports.table.status(&format!("{}/{child}", self.path), AgentStatus::Failed);
        self.parked = Some(Failure::new("restart_budget_spent", why));
        self.feeder = None;
        let unstarted = self.staff.unstarted();
        self.give_back(unstarted);
    }
}
