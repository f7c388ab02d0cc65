//! The core's memory: the children in the order in which they were added, and how each is.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use super::{event::Action, policy::Policy};

/// Whom a child's restart concerns besides itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Nobody.
    #[default]
    OneForOne,
    /// Those that were added after it, because they depend on it.
    RestForOne,
    /// All, because each depends on each.
    OneForAll,
}

/// The supervisor's memory.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// In start order. Boxed, because a map's node has room for eleven and an agent most often has one instance.
    pub(super) children: BTreeMap<u64, Box<Child>>,
    /// Finds a child without walking the others: an agents' supervisor has thousands.
    pub(super) names: HashMap<String, u64>,
    pub(super) next: u64,
    pub(super) strategy: Strategy,
    pub(super) stopping: bool,
    /// Children that are one another's equals (agents) stop all at once, others one by one.
    pub(super) together: bool,
    /// Whether somebody waits for a turn, to stop or to start: else nobody need be looked for.
    pub(super) moving: bool,
    /// Where children share one restart budget (an agent's instances): when restarts were decided.
    pub(super) shared: Option<VecDeque<Duration>>,
}

#[derive(Debug, Clone)]
pub(super) struct Child {
    pub(super) name: String,
    pub(super) policy: Policy,
    pub(super) generation: u32,
    pub(super) phase: Phase,
    /// When the present generation's start was completed.
    pub(super) since: Option<Duration>,
    /// When restarts were decided, as far as they lie in the window.
    pub(super) restarts: VecDeque<Duration>,
    /// Restarts since the child was last stable: the exponent of the backoff.
    pub(super) unstable: u32,
    /// Whether it was parked and is tried again: half-open.
    pub(super) trial: bool,
    /// It was wanted again while on its way out, by these rules.
    pub(super) again: Option<Box<Policy>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Phase {
    Starting,
    Running,
    Backoff,
    /// Up, and to be told to stop when its turn in a group restart comes.
    Doomed(Then),
    /// Told to stop; what follows its end.
    Stopping(Then),
    /// Told to end in its own time.
    Draining,
    /// Down, and to be started when its turn comes.
    Waiting,
    Parked,
    /// Down for want of work, until it is roused.
    Asleep,
    /// Down because everything stops.
    Down,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Then {
    Forget,
    Start,
}

impl Phase {
    /// On its way out for good.
    pub(super) fn leaving(self) -> bool {
        matches!(self, Self::Draining | Self::Doomed(Then::Forget) | Self::Stopping(Then::Forget))
    }
}

impl State {
    /// No children; their restarts concern others by this strategy.
    pub fn with_strategy(strategy: Strategy) -> Self {
        Self { strategy, ..Self::default() }
    }

    /// Children that stop all at once, because none depends on another.
    pub fn of_equals() -> Self {
        Self { together: true, ..Self::default() }
    }

    /// Equals that also share one restart budget.
    pub fn with_shared_budget() -> Self {
        Self { shared: Some(VecDeque::new()), ..Self::of_equals() }
    }

    /// Children that are not there yet, with the restarts that were made of these: for a supervisor that begins anew and
    /// is to forgive nothing by it but what a trial that went well has.
    pub fn begun_anew(&self, now: Duration) -> Self {
        let went_well = self.children.values().any(|child| child.trial && child.is_stable(now));
        let shared = self.shared.as_ref().map(|restarts| if went_well { VecDeque::new() } else { restarts.clone() });
        Self { strategy: self.strategy, together: self.together, shared, ..Self::default() }
    }

    /// Whether every child is up, and none is still on trial: nothing is lost if all end together now.
    pub fn is_settled(&self, now: Duration) -> bool {
        let settled = |child: &Child| child.phase == Phase::Running && (!child.trial || child.is_stable(now));
        self.children.values().all(|child| settled(child))
    }

    /// Restarts of a child (or of all, where the budget is shared) within its window.
    pub fn restarts_in_window(&self, name: &str, now: Duration) -> u32 {
        let Some(child) = self.child(name) else { return 0 };
        if child.trial && child.is_stable(now) {
            return 0;
        }
        let restarts = self.shared.as_ref().unwrap_or(&child.restarts);
        restarts.iter().filter(|at| now.saturating_sub(**at) < child.policy.window).count() as u32
    }

    /// Gives a child other rules from now on.
    pub fn set_policy(&mut self, name: &str, policy: Policy) {
        if let Some(child) = self.names.get(name).and_then(|at| self.children.get_mut(at)) {
            child.policy = policy;
        }
    }

    /// The generation that is, or was last, started.
    pub fn generation(&self, name: &str) -> Option<u32> {
        self.child(name).map(|child| child.generation)
    }

    /// The children's names, in the order in which they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.children.values().map(|child| child.name.as_str())
    }

    /// Those that are down only until their turn to start comes.
    pub fn waiting(&self) -> impl Iterator<Item = &str> {
        // Nobody waits unless somebody moves; then it need not be looked for among thousands.
        let children = self.moving.then(|| self.children.values()).into_iter().flatten();
        children.filter(|child| child.phase == Phase::Waiting).map(|child| child.name.as_str())
    }

    /// Whether everything is to stop, and nothing begins any more.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Whether a child is on its way out for good; adding it now means: again, when it is gone.
    pub fn is_leaving(&self, name: &str) -> bool {
        self.child(name).is_some_and(|child| child.phase.leaving())
    }

    fn child(&self, name: &str) -> Option<&Child> {
        self.names.get(name).and_then(|at| self.children.get(at)).map(|child| &**child)
    }

    /// Enters a child as the last one, to be started next.
    pub(super) fn enter(&mut self, name: String, policy: Policy, generation: u32) -> u64 {
        let (at, phase) = (self.next, Phase::Waiting);
        let (since, restarts, unstable, trial, again) = (None, VecDeque::new(), 0, false, None);
        self.next += 1;
        self.names.insert(name.clone(), at);
        let child = Child { name, policy, generation, phase, since, restarts, unstable, trial, again };
        self.children.insert(at, Box::new(child));
        at
    }
}

impl Child {
    /// Whether it has been up for long enough since its start was completed.
    pub(super) fn is_stable(&self, now: Duration) -> bool {
        self.since.is_some_and(|since| now.saturating_sub(since) >= self.policy.stable_after)
    }

    pub(super) fn start(&mut self) -> Action {
        self.phase = Phase::Starting;
        self.generation += 1;
        Action::Start { child: self.name.clone(), generation: self.generation }
    }

    pub(super) fn stop(&mut self, then: Then) -> Action {
        self.phase = Phase::Stopping(then);
        Action::Stop { child: self.name.clone(), generation: self.generation, within: self.policy.shutdown }
    }

    pub(super) fn drain(&mut self) -> Action {
        self.phase = Phase::Draining;
        Action::Stop { child: self.name.clone(), generation: self.generation, within: Duration::MAX }
    }
}
