//! What a supervisor does about a decision: the only place that starts, stops and kills, and that shows it in the tree.
//!
//! Nothing that a child's own code does in here (a panic, a start that hangs) may take the supervisor down: its healthy
//! children would go with it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use futures::FutureExt;
use greenroom_contract::{execution::Failure, status::AgentStatus, tree::Budget};
use jiff::Timestamp;
use ractor::{ActorCell, ActorRef};

use super::{
    actor::{Ending, State},
    event::{Action, Event},
    handle::SupervisorHandle,
    message::{ChildSpec, Message},
    policy::Exit,
};
use crate::fault::panic_text;

/// A start that takes longer has failed: meanwhile the supervisor hears nobody.
const START_WITHIN: Duration = Duration::from_secs(5);
/// A child that is still there so long after it was killed spins without a pause; nobody waits for it any longer.
const GONE_WITHIN: Duration = Duration::from_secs(2);

impl State {
    /// Does one action; what it brings about at once is returned as the next event.
    pub(super) async fn carry_out(&mut self, myself: &ActorRef<Message>, action: Action) -> Option<Event> {
        match action {
            Action::Start { child, generation } => return self.start(myself, child, generation).await,
            Action::Stop { child, generation, within } => self.stop(myself, child, generation, within),
            Action::Wake { child, generation, after } => {
                self.show_next(&child, after, AgentStatus::Restarting, 1);
                myself.send_after(after, move || Message::Due { child, generation });
            }
            Action::Park { child, exit } => {
                tracing::error!(
                    child.path = self.path_of(&child),
                    error = exit.failure().map(ToString::to_string),
                    "A child used up its restarts and is parked; an operator's restart sets it going."
                );
                self.table.status(&self.path_of(&child), AgentStatus::Failed);
            }
            Action::Rest { child } => self.rested(myself, &child),
            Action::Retry { child, generation, after } => {
                self.show_next(&child, after, AgentStatus::Failed, 0);
                myself.send_after(after, move || Message::Due { child, generation });
            }
            Action::Escalate { child, exit } => self.escalate(&child, &exit),
            Action::Forget { child } => {
                self.table.bury(&self.path_of(&child));
                let next = self.next_specs.remove(&child);
                // The core knows it still where it was wanted again while on its way out.
                match next.filter(|_| self.core.generation(&child).is_some()) {
                    Some(next) => drop(self.specs.insert(child, next)),
                    None => drop(self.specs.remove(&child)),
                }
            }
            Action::AllStopped => {
                self.down = true;
                for done in self.all_down.drain(..) {
                    // The asker may have given up waiting; the children are down all the same.
                    done.send(()).ok();
                }
            }
        }
        None
    }

    async fn start(&mut self, myself: &ActorRef<Message>, child: String, generation: u32) -> Option<Event> {
        let Some(spec) = self.specs.get(&child) else {
            debug_assert!(false, "the core knows a child without a spec");
            return None;
        };
        let (path, kind) = (self.path_of(&child), spec.kind);
        self.table.enter(&path, kind, AgentStatus::Starting);
        match start_guarded(spec, myself.get_cell(), generation).await {
            Ok(cell) => {
                self.up.insert(cell.get_id(), (child.clone(), generation));
                self.cells.insert(child.clone(), cell);
                self.table.update(&path, |place| {
                    // A child that says more of itself (an agent) has already done so.
                    if place.status == AgentStatus::Starting && kind != "agent" {
                        place.status = AgentStatus::Running;
                    }
                });
                Some(Event::Started { child, generation })
            }
            Err(failure) => Some(Event::Exited { child, generation, exit: Exit::StartFailed(failure) }),
        }
    }

    /// A child sleeps: whoever wakes it is told.
    fn rested(&self, myself: &ActorRef<Message>, child: &str) {
        let Some(rested) = self.specs.get(child).and_then(|spec| spec.rested.as_ref()) else { return };
        let told = catch_unwind(AssertUnwindSafe(|| rested()));
        if let Err(panic) = told {
            let error = panic_text(panic.as_ref());
            tracing::error!(child.path = self.path_of(child), error, "A child sleeps and nobody could be told.");
            // Better up for nothing than asleep for ever.
            SupervisorHandle::new(myself.clone()).rouse(child);
        }
    }

    fn stop(&mut self, myself: &ActorRef<Message>, child: String, generation: u32, within: Duration) {
        let (Some(cell), Some(spec)) = (self.cells.get(&child), self.specs.get(&child)) else { return };
        let told = catch_unwind(AssertUnwindSafe(|| (spec.stop)(cell, within)));
        let within = match told {
            Ok(()) => within,
            Err(panic) => {
                let error = panic_text(panic.as_ref());
                tracing::error!(child.path = self.path_of(&child), error, "A child could not be asked to stop.");
                Duration::ZERO
            }
        };
        if within < Duration::MAX {
            self.told.insert(cell.get_id());
            myself.send_after(within, move || Message::Overdue { child, generation });
        }
    }

    /// A child did not stop in its time.
    pub(super) fn kill_overdue(&mut self, myself: &ActorRef<Message>, child: String, generation: u32) -> Option<Event> {
        if let Some(cell) = self.still_up(&child, generation).filter(|cell| self.told.contains(&cell.get_id())) {
            tracing::warn!(child.path = self.path_of(&child), "A child did not stop in time and is killed.");
            cell.kill();
            myself.send_after(GONE_WITHIN, move || Message::Lost { child, generation });
        }
        None
    }

    /// A child does not answer.
    pub(super) fn kill_deaf(&mut self, myself: &ActorRef<Message>, child: String) -> Option<Event> {
        let cell = self.cells.get(&child)?;
        let generation = self.up.get(&cell.get_id())?.1;
        cell.kill();
        myself.send_after(GONE_WITHIN, move || Message::Lost { child, generation });
        None
    }

    /// A killed child is still there: it is fenced off, and whatever it says later is late news.
    pub(super) fn give_up(&mut self, child: String, generation: u32) -> Option<Event> {
        let id = self.still_up(&child, generation)?.get_id();
        tracing::error!(child.path = self.path_of(&child), "A killed child goes on spinning; it is given up.");
        self.up.remove(&id);
        self.told.remove(&id);
        self.cells.remove(&child);
        let failure = Failure::new("quarantined", "it did not end when it was killed");
        Some(Event::Exited { child, generation, exit: Exit::Killed(failure) })
    }

    fn still_up(&self, child: &str, generation: u32) -> Option<&ActorCell> {
        let cell = self.cells.get(child)?;
        self.up.get(&cell.get_id()).is_some_and(|(_, up)| *up == generation).then_some(cell)
    }

    fn escalate(&mut self, child: &str, exit: &Exit) {
        let path = self.path_of(child);
        let cause = exit.failure().cloned().unwrap_or_else(|| Failure::new("ended", "it ended by itself"));
        tracing::error!(child.path = path, error = %cause, "A child used up its restarts; its supervisor ends with it.");
        self.table.status(&path, AgentStatus::Failed);
        let message = format!("{child} used up its restarts: {}", cause.message);
        self.ending = Some(Ending::Escalated(Failure { code: cause.code, message }));
    }

    fn show_next(&self, child: &str, after: Duration, status: AgentStatus, restarts: u32) {
        let in_window = self.core.restarts_in_window(child, self.born.elapsed());
        let policy = self.specs.get(child).map(|spec| spec.policy.clone());
        self.table.status(&self.path_of(child), status);
        self.table.update(&self.path_of(child), |place| {
            place.restarts += restarts;
            place.budget = policy.map(|policy| Budget {
                in_window,
                max_restarts: policy.max_restarts,
                window_ms: policy.window.as_millis() as u64,
                next_at: Timestamp::now().checked_add(after).ok(),
            });
        });
    }
}

async fn start_guarded(spec: &ChildSpec, supervisor: ActorCell, generation: u32) -> Result<ActorCell, Failure> {
    let starting = AssertUnwindSafe(async { (spec.start)(supervisor, generation).await }).catch_unwind();
    match tokio::time::timeout(START_WITHIN, starting).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(Failure::new(crate::fault::PANICKED, panic_text(panic.as_ref()))),
        Err(_) => Err(Failure::new("start_timed_out", format!("it did not start within {START_WITHIN:?}"))),
    }
}
