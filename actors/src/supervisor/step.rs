//! The pure core: `step(state, event, now) → actions`. One-for-one: a child's end concerns that child alone.

use std::{collections::VecDeque, time::Duration};

use super::policy::{Exit, Policy, Restart};

/// What a supervisor hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A child is wanted from now on.
    Add {
        /// Its name.
        child: String,
        /// Its rules.
        policy: Policy,
    },
    /// A child is not wanted any more.
    Remove {
        /// Its name.
        child: String,
    },
    /// A start was completed.
    Started {
        /// Whose.
        child: String,
        /// Which.
        generation: u32,
    },
    /// A child ended, or could not start.
    Exited {
        /// Whose.
        child: String,
        /// Which.
        generation: u32,
        /// How.
        exit: Exit,
    },
    /// A wait that [`Action::Wake`] asked for is over.
    Due {
        /// Whose.
        child: String,
        /// Which generation is to be started.
        generation: u32,
    },
    /// An operator (or a deploy) wants the child afresh: its budget is cleared and the restart does not count.
    Refresh {
        /// Whose.
        child: String,
    },
    /// Everything is to stop.
    StopAll,
}

/// What a supervisor does about it.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Start this generation.
    Start {
        /// Whose.
        child: String,
        /// Which.
        generation: u32,
    },
    /// Ask it to stop; kill it when `within` is over.
    Stop {
        /// Whose.
        child: String,
        /// Which.
        generation: u32,
        /// How long it gets.
        within: Duration,
    },
    /// Come back with [`Event::Due`] after this long.
    Wake {
        /// Whose.
        child: String,
        /// Which generation is to be started.
        generation: u32,
        /// The wait.
        after: Duration,
    },
    /// The budget is spent: it stays down until an operator refreshes it.
    Park {
        /// Whose.
        child: String,
        /// The last end.
        exit: Exit,
    },
    /// It is gone for good.
    Forget {
        /// Whose.
        child: String,
    },
    /// Everything has stopped.
    AllStopped,
}

/// The supervisor's memory: its children in the order in which they were added.
#[derive(Debug, Clone, Default)]
pub struct State {
    children: Vec<Child>,
    stopping: bool,
    /// Children that are one another's equals (agents) stop all at once, others one by one.
    together: bool,
    /// Where children share one restart budget (an agent's instances): when restarts were decided.
    shared: Option<VecDeque<Duration>>,
}

#[derive(Debug, Clone)]
struct Child {
    name: String,
    policy: Policy,
    generation: u32,
    phase: Phase,
    /// When restarts were decided, as far as they lie in the window.
    restarts: VecDeque<Duration>,
    /// Restarts since the child was last stable: the exponent of the backoff.
    unstable: u32,
}

#[derive(Debug, Clone, PartialEq)]
enum Phase {
    Starting,
    Running {
        since: Duration,
    },
    Backoff,
    /// Told to stop; what follows its end.
    Stopping(Then),
    Parked,
    Down,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Then {
    Forget,
    Start,
}

impl State {
    /// Children that stop all at once, because none depends on another.
    pub fn of_equals() -> Self {
        Self { together: true, ..Self::default() }
    }

    /// Equals that also share one restart budget.
    pub fn with_shared_budget() -> Self {
        Self { shared: Some(VecDeque::new()), ..Self::of_equals() }
    }

    /// Restarts of a child (or of all, where the budget is shared) within its window.
    pub fn restarts_in_window(&self, name: &str, now: Duration) -> u32 {
        let Some(index) = self.find(name) else { return 0 };
        let child = &self.children[index];
        let restarts = self.shared.as_ref().unwrap_or(&child.restarts);
        restarts.iter().filter(|at| now.saturating_sub(**at) < child.policy.window).count() as u32
    }

    /// Gives a child other rules from now on.
    pub fn set_policy(&mut self, name: &str, policy: Policy) {
        if let Some(index) = self.find(name) {
            self.children[index].policy = policy;
        }
    }

    /// The generation that is, or was last, started.
    pub fn generation(&self, name: &str) -> Option<u32> {
        self.find(name).map(|index| self.children[index].generation)
    }

    /// The children's names, in the order in which they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.children.iter().map(|child| child.name.as_str())
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.children.iter().position(|child| child.name == name)
    }
}

/// Decides. `now` is a monotonic time since any fixed moment; `jitter` is in 0..=1.
/// An event about a child or a generation that is no longer there is ignored: it is late news.
pub fn step(state: &mut State, event: Event, now: Duration, jitter: f64) -> Vec<Action> {
    match event {
        Event::Add { child, policy } => add(state, child, policy),
        Event::Remove { child } => with(state, &child, remove),
        Event::Started { child, generation } => current(state, &child, generation, |child| {
            if child.phase == Phase::Starting {
                child.phase = Phase::Running { since: now };
            }
            Vec::new()
        }),
        Event::Exited { child, generation, exit } => {
            let stopping = state.stopping;
            let mut shared = state.shared.take();
            let mut actions =
                current(state, &child, generation, |child| exited(child, exit, stopping, shared.as_mut(), now, jitter));
            state.shared = shared;
            state.children.retain(|child| {
                !actions.iter().any(|a| matches!(a, Action::Forget { child: gone } if *gone == child.name))
            });
            if stopping {
                actions.extend(stop_more(state));
            }
            actions
        }
        Event::Due { child, generation } => current(state, &child, generation, |child| match child.phase {
            Phase::Backoff => start(child),
            _ => Vec::new(),
        }),
        Event::Refresh { child } if !state.stopping => {
            if let Some(shared) = &mut state.shared {
                shared.clear();
            }
            with(state, &child, refresh)
        }
        Event::Refresh { .. } => Vec::new(),
        Event::StopAll => {
            state.stopping = true;
            stop_more(state)
        }
    }
}

fn with(state: &mut State, name: &str, decide: impl FnOnce(&mut Child) -> Vec<Action>) -> Vec<Action> {
    let Some(index) = state.find(name) else { return Vec::new() };
    let actions = decide(&mut state.children[index]);
    if actions.iter().any(|action| matches!(action, Action::Forget { .. })) {
        state.children.remove(index);
    }
    actions
}

fn current(
    state: &mut State,
    name: &str,
    generation: u32,
    decide: impl FnOnce(&mut Child) -> Vec<Action>,
) -> Vec<Action> {
    match state.find(name) {
        Some(index) if state.children[index].generation == generation => decide(&mut state.children[index]),
        _ => Vec::new(),
    }
}

fn add(state: &mut State, name: String, policy: Policy) -> Vec<Action> {
    if state.stopping || state.find(&name).is_some() {
        return Vec::new();
    }
    let phase = Phase::Down;
    let mut child = Child { name, policy, generation: 0, phase, restarts: VecDeque::new(), unstable: 0 };
    let actions = start(&mut child);
    state.children.push(child);
    actions
}

fn start(child: &mut Child) -> Vec<Action> {
    child.phase = Phase::Starting;
    child.generation += 1;
    vec![Action::Start { child: child.name.clone(), generation: child.generation }]
}

fn stop(child: &mut Child, then: Then) -> Vec<Action> {
    child.phase = Phase::Stopping(then);
    vec![Action::Stop { child: child.name.clone(), generation: child.generation, within: child.policy.shutdown }]
}

fn remove(child: &mut Child) -> Vec<Action> {
    match child.phase {
        Phase::Starting | Phase::Running { .. } => stop(child, Then::Forget),
        Phase::Stopping(_) => {
            child.phase = Phase::Stopping(Then::Forget);
            Vec::new()
        }
        Phase::Backoff | Phase::Parked | Phase::Down => vec![Action::Forget { child: child.name.clone() }],
    }
}

fn refresh(child: &mut Child) -> Vec<Action> {
    child.restarts.clear();
    child.unstable = 0;
    match child.phase {
        Phase::Starting | Phase::Running { .. } => stop(child, Then::Start),
        Phase::Stopping(_) => Vec::new(),
        Phase::Backoff | Phase::Parked | Phase::Down => start(child),
    }
}

fn exited(
    child: &mut Child,
    exit: Exit,
    stopping: bool,
    shared: Option<&mut VecDeque<Duration>>,
    now: Duration,
    jitter: f64,
) -> Vec<Action> {
    match child.phase {
        Phase::Stopping(Then::Forget) => return vec![Action::Forget { child: child.name.clone() }],
        Phase::Stopping(Then::Start) if !stopping => return start(child),
        Phase::Stopping(Then::Start) | Phase::Starting | Phase::Running { .. } if stopping => {
            child.phase = Phase::Down;
            return Vec::new();
        }
        Phase::Backoff | Phase::Parked | Phase::Down => return Vec::new(),
        Phase::Stopping(Then::Start) | Phase::Starting | Phase::Running { .. } => {}
    }
    let wanted = match child.policy.restart {
        Restart::Permanent => true,
        Restart::Transient => exit.failure().is_some(),
        Restart::Temporary => false,
    };
    if !wanted {
        return vec![Action::Forget { child: child.name.clone() }];
    }
    if let Phase::Running { since } = child.phase
        && now.saturating_sub(since) >= child.policy.stable_after
    {
        child.unstable = 0;
    }
    let window = child.policy.window;
    let restarts = shared.unwrap_or(&mut child.restarts);
    restarts.retain(|at| now.saturating_sub(*at) < window);
    if restarts.len() >= child.policy.max_restarts as usize {
        child.phase = Phase::Parked;
        return vec![Action::Park { child: child.name.clone(), exit }];
    }
    restarts.push_back(now);
    let after = child.policy.backoff(child.unstable, jitter);
    child.unstable += 1;
    child.phase = Phase::Backoff;
    vec![Action::Wake { child: child.name.clone(), generation: child.generation, after }]
}

/// Stops what is to stop next: all equals at once, or else the last started child that is still up.
fn stop_more(state: &mut State) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut still_up = false;
    for child in state.children.iter_mut().rev() {
        match child.phase {
            Phase::Starting | Phase::Running { .. } => {
                actions.extend(stop(child, Then::Forget));
                still_up = true;
            }
            Phase::Stopping(_) => still_up = true,
            Phase::Backoff | Phase::Parked | Phase::Down => child.phase = Phase::Down,
        }
        if still_up && !state.together {
            break;
        }
    }
    if !still_up {
        actions.push(Action::AllStopped);
    }
    actions
}
