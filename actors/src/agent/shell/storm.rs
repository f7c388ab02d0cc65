//! Storms: when many agents fail of one provider's trouble, they pause by that cause instead of burning their budgets.

use std::time::Duration;

use greenroom_contract::{execution::Failure, task};
use ractor::ActorRef;
use tokio::time::Instant;

use super::Shell;
use crate::{
    agent::message::Message,
    supervisor::{Pause, Verdict},
};

/// How long a trial may take before another agent gets the turn.
const TURN: Duration = Duration::from_secs(30);

/// What holds the agent back.
pub(in crate::agent) struct Hold {
    /// Why, for people.
    pub(super) cause: Failure,
    /// Whether it may do one piece of work as a trial.
    pub(super) probing: bool,
    /// Asks again in time, or as soon as somebody's trial went well.
    _timer: task::Scoped,
}

impl Shell {
    /// Work came, or ended: how does the agent stand?
    pub(super) fn look_at_the_weather(&mut self, myself: &ActorRef<Message>) {
        let name = &self.definition.spec.name;
        match (&self.storm, self.ports.storm.paused(name.as_str(), Instant::now())) {
            (None, None) => {}
            (None, Some(pause)) => self.hold(myself, pause),
            (Some(_), _) => self.ask_to_go(myself),
        }
    }

    /// May it go on?
    pub(in crate::agent) fn admit(&mut self, myself: &ActorRef<Message>) {
        let trial_under_way = self.storm.as_ref().is_some_and(|hold| hold.probing) && !self.staff.is_idle();
        if self.storm.is_some() && !trial_under_way {
            self.ask_to_go(myself);
        }
    }

    fn ask_to_go(&mut self, myself: &ActorRef<Message>) {
        let now = Instant::now();
        let agent = self.definition.spec.name.clone();
        match self.ports.storm.admit(agent.as_str(), now) {
            Verdict::Go | Verdict::Resumed { .. } => {
                tracing::info!(%agent, "The cause by which the agent was paused is gone; it goes on.");
                self.storm = None;
                self.feed(myself);
            }
            Verdict::Probe { cause } => {
                tracing::info!(%agent, cause, "The agent tries whether the cause by which it was paused is gone.");
                let cause = Failure::new("paused_by_cause", format!("{cause}; a trial is under way"));
                let timer = self.ask_again(myself, now + TURN);
                self.storm = Some(Hold { cause, probing: true, _timer: timer });
                self.feed(myself);
            }
            Verdict::Paused(pause) => self.hold(myself, pause),
        }
    }

    fn hold(&mut self, myself: &ActorRef<Message>, pause: Pause) {
        let agent = &self.definition.spec.name;
        let wait = pause.until.saturating_duration_since(Instant::now());
        let why = format!("{}: {} agents are held by it; tried again in {wait:.0?}", pause.cause, pause.held);
        if pause.news {
            tracing::warn!(%agent, cause = pause.cause, held = pause.held, "Many agents fail of one cause; they are paused by it.");
        } else {
            tracing::info!(%agent, cause = pause.cause, "Agent is paused by a cause that others have too.");
        }
        let timer = self.ask_again(myself, pause.until);
        self.storm = Some(Hold { cause: Failure::new("paused_by_cause", why), probing: false, _timer: timer });
        self.feed(myself);
        let unstarted = self.staff.unstarted();
        self.give_back(unstarted);
    }

    fn ask_again(&self, myself: &ActorRef<Message>, at: Instant) -> task::Scoped {
        let (agent, mut changes) = (myself.clone(), self.ports.storm.changes());
        task::spawn_scoped("storm-timer", async move {
            // Either way it asks; the breaker outlives the agent.
            drop(tokio::time::timeout_at(at, changes.changed()).await);
            drop(agent.send_message(Message::Admit));
        })
    }
}
