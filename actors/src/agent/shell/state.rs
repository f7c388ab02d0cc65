//! What a shell remembers, and what it shows after each message.

use std::sync::Arc;

use greenroom_config::load::Definition;
use greenroom_contract::{execution::Failure, status::AgentStatus, tree::Budget};
use jiff::Timestamp;
use ractor::ActorRef;
use tokio::{
    sync::{Notify, Semaphore, oneshot},
    time::Instant,
};
use tokio_util::sync::DropGuard;

use super::storm::Hold;
use crate::{
    agent::{
        AgentHandle, BRANCH, Facts, Tenure, actor::Args, facts::Said, handle::Beginning, message::Message, staff::Staff,
    },
    execution::{Behaviour, Kit},
    ports::Ports,
    supervisor::{State as Core, SupervisorHandle},
};

pub(in crate::agent) struct Shell {
    pub(super) ports: Arc<Ports>,
    pub(super) handle: AgentHandle,
    pub(super) supervisor: SupervisorHandle,
    pub(super) facts: Arc<Facts>,
    pub(super) path: String,
    /// The definition that is wanted; the kit's may be an older one while the new one is fitted out.
    pub(super) definition: Arc<Definition>,
    pub(super) fitting: u32,
    pub(super) kit: Option<Arc<Kit>>,
    pub(super) feeder: Option<DropGuard>,
    /// How many feeders there were.
    pub(super) feeders: u32,
    /// Whether it is about to fall asleep, and only waits for the end of its feeder.
    pub(super) dozing: bool,
    pub(super) credits: Arc<Semaphore>,
    pub(super) poke: Arc<Notify>,
    pub(super) core: Core,
    pub(super) born: Instant,
    pub(super) staff: Staff,
    pub(super) restarts: u32,
    pub(super) paused: bool,
    pub(super) stopping: bool,
    pub(super) unavailable: Option<Failure>,
    pub(super) parked: Option<Failure>,
    pub(super) drains: Vec<oneshot::Sender<()>>,
    pub(super) behaviour: Arc<dyn Behaviour>,
    /// Whether a fitting is under way.
    pub(super) fitting_open: bool,
    /// Fittings that failed since the last one that did not.
    pub(super) unfit: u32,
    pub(super) storm: Option<Hold>,
    /// When a parked agent is tried again.
    pub(super) next_trial: Option<Timestamp>,
    /// Grows each time that the agent begins to have something to do.
    pub(super) turn: u64,
    /// What was shown last; `None` when that may not be what is seen.
    pub(super) shown: Option<Shown>,
    /// The time for which it may be given work.
    pub(super) tenure: Arc<Tenure>,
}

/// All that the shell shows of itself after a message. Showing it takes locks, and most messages change nothing of it.
#[derive(PartialEq)]
pub(in crate::agent) struct Shown {
    status: AgentStatus,
    reason: Option<Failure>,
    works: bool,
    staff: u64,
    restarts: u32,
    budget: Budget,
}

impl Drop for Shell {
    /// However the shell ends, what it holds is taken up again: after a stop there is nothing left, after a fault of the
    /// shell itself its executions would otherwise stay claimed by a node that does not run them.
    fn drop(&mut self) {
        let held = self.staff.abandon();
        self.facts.at_rest();
        if tokio::runtime::Handle::try_current().is_ok() {
            self.give_back(held);
        }
    }
}

impl Shell {
    /// The next generation: it takes the agent's address over and begins to fit itself out.
    pub(in crate::agent) fn begin(myself: &ActorRef<Message>, args: Args) -> Self {
        let Args { ports, handle, facts, behaviour, generation, supervisor } = args;
        let Beginning { tenure, slept, memory } = handle.point_at(myself.clone(), &ports);
        // Read when it can be told already: what is reloaded from here on, it hears of.
        let definition = handle.definition();
        let name = &definition.spec.name;
        let path = format!("{BRANCH}/{name}");
        ports.storm.joined(name.as_str());
        let restarts = facts.begins(slept);
        let credits = Arc::new(Semaphore::new(definition.spec.capacity() as usize));
        let mut shell = Self {
            ports,
            handle,
            supervisor,
            facts,
            path,
            definition,
            fitting: 0,
            kit: None,
            feeder: None,
            feeders: 0,
            dozing: false,
            credits,
            poke: Arc::default(),
            core: Core::with_shared_budget(),
            born: Instant::now(),
            staff: Staff::default(),
            restarts,
            paused: false,
            stopping: false,
            unavailable: None,
            parked: None,
            drains: Vec::new(),
            behaviour,
            fitting_open: false,
            unfit: 0,
            storm: None,
            next_trial: None,
            turn: 0,
            shown: None,
            tenure,
        };
        if slept {
            shell.wake_up(memory);
        } else if generation > 1 {
            // Operators and reloads start no new shell: the one before ended abnormally.
            shell.restarts += 1;
        }
        if shell.handle.is_paused() {
            shell.pause();
        }
        shell.fit_out(myself);
        shell
    }

    /// Hands out what waits, answers who waits for the drain, and shows how things are.
    pub(in crate::agent) fn settle(&mut self) {
        self.hand_out();
        if self.staff.is_idle() {
            for done in self.drains.drain(..) {
                // Whoever asked may have given up.
                done.send(()).ok();
            }
        }
        let show = self.what_to_show();
        if self.shown.as_ref() != Some(&show) {
            self.show(&show);
            self.shown = Some(show);
        }
    }

    fn what_to_show(&self) -> Shown {
        let (status, reason) = self.status();
        let supervision = &self.definition.spec.supervision;
        let in_window = if self.restarts == 0 { 0 } else { self.core.restarts_in_window("0", self.born.elapsed()) };
        let budget = Budget {
            in_window,
            max_restarts: supervision.max_restarts,
            window_ms: supervision.window.0.as_millis() as u64,
            next_at: self.next_trial,
        };
        Shown {
            status,
            reason,
            works: !self.staff.is_idle() || self.fitting_open,
            staff: self.staff.changes(),
            restarts: self.restarts,
            budget,
        }
    }

    fn show(&mut self, shown: &Shown) {
        self.turn = self.facts.works(shown.works);
        let running = self.staff.running() as u32;
        let (status, reason, restarts) = (shown.status, shown.reason.clone(), shown.restarts);
        self.facts.say(Said { status, reason, running, restarts });
        let waiting = self.staff.waiting() as u64;
        for (instance, load) in self.staff.loads() {
            let status = if load > 0 { AgentStatus::Running } else { AgentStatus::Idle };
            self.ports.table.status(&format!("{}/{instance}", self.path), status);
        }
        self.ports.table.update(&self.path, |place| {
            place.status = shown.status;
            place.inbox = waiting;
            place.restarts = shown.restarts;
            place.budget = Some(shown.budget);
        });
    }

    pub(super) fn status(&self) -> (AgentStatus, Option<Failure>) {
        if let Some(failure) = &self.parked {
            return (AgentStatus::Failed, Some(failure.clone()));
        }
        if let Some(failure) = &self.unavailable {
            return (AgentStatus::Unavailable, Some(failure.clone()));
        }
        if let Some(hold) = &self.storm {
            return (AgentStatus::Paused, Some(hold.cause.clone()));
        }
        let status = match () {
            () if self.paused => AgentStatus::Paused,
            () if self.kit.is_none() => AgentStatus::Starting,
            () if self.core.names().next().is_some() && !self.staff.any_up() => AgentStatus::Restarting,
            () if self.staff.running() > 0 => AgentStatus::Running,
            () => AgentStatus::Idle,
        };
        (status, None)
    }
}
