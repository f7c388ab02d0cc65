//! A world for the core: children that start, crash, obey and stay, timers that ring, and a ledger of what must hold
//! at every single action.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use greenroom_contract::execution::Failure;

use super::kit::*;
use crate::supervisor::{Action, Event, Exit, Policy, Restart, State, Strategy, step};

pub(super) const NAMES: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Debug, Default)]
struct Ledger {
    /// Its place in the start order.
    order: u64,
    /// Somebody wants it; after a removal nobody does.
    wanted: bool,
    generation: u32,
    /// `Some` while it is up; `Some(Some(_))` once its start was completed.
    up: Option<Option<Duration>>,
    told: bool,
    restarts: Vec<Duration>,
    exponent: u32,
    trial: bool,
    parked: bool,
    asleep: bool,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) state: State,
    pub(super) now: Duration,
    pub(super) ended: bool,
    strategy: Strategy,
    together: bool,
    policies: BTreeMap<&'static str, Policy>,
    book: BTreeMap<String, Ledger>,
    timers: Vec<(Duration, Event)>,
    stopping: bool,
    next: u64,
    pub(super) starts_fail: bool,
}

impl World {
    pub(super) fn new(strategy: Strategy, together: bool, policies: BTreeMap<&'static str, Policy>) -> Self {
        let state = match (strategy, together) {
            (Strategy::OneForOne, true) => State::of_equals(),
            _ => State::with_strategy(strategy),
        };
        let (book, timers) = (BTreeMap::new(), Vec::new());
        let (now, stopping, ended, next, starts_fail) = (Duration::ZERO, false, false, 0, false);
        Self { state, now, ended, strategy, together, policies, book, timers, stopping, next, starts_fail }
    }

    pub(super) fn add(&mut self, name: &'static str) {
        if !self.stopping && (!self.book.contains_key(name) || self.state.is_leaving(name)) {
            self.next += 1;
            let entry = self.book.entry(name.to_owned()).or_default();
            entry.order = if entry.up.is_some() { entry.order } else { self.next };
            entry.wanted = true;
        }
        self.hear(add(name, self.policies[name].clone()));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.unwant(name);
        self.hear(remove(name));
    }

    pub(super) fn drain(&mut self, name: &str) {
        self.unwant(name);
        self.hear(drain(name));
    }

    pub(super) fn refresh(&mut self, name: &str) {
        if let Some(entry) = self.book.get_mut(name).filter(|entry| entry.wanted && !self.stopping) {
            (entry.restarts, entry.exponent, entry.trial) = (Vec::new(), 0, false);
        }
        self.hear(refresh(name));
    }

    /// There is something to do for a child. Does nothing to one that is up.
    pub(super) fn rouse(&mut self, name: &str) {
        self.hear(rouse(name));
    }

    pub(super) fn stop_all(&mut self) {
        self.stopping = true;
        self.hear(Event::StopAll);
    }

    /// A child ends by itself, or in the end obeys.
    pub(super) fn end(&mut self, name: &str, exit: Exit) {
        let Some(generation) = self.book.get(name).filter(|entry| entry.up.is_some()).map(|entry| entry.generation)
        else {
            return;
        };
        self.hear(exited(name, generation, exit));
    }

    /// Every child that was told to stop does.
    pub(super) fn obey(&mut self) {
        for name in NAMES {
            if self.book.get(name).is_some_and(|entry| entry.told) {
                self.end(name, Exit::Stopped);
            }
        }
    }

    /// Time goes by, and each timer rings at its moment.
    pub(super) fn pass(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some(at) = self.timers.iter().map(|(at, _)| *at).min().filter(|at| *at <= until) {
            self.now = at;
            let index = self.timers.iter().position(|(due, _)| *due == at).unwrap();
            let (_, event) = self.timers.remove(index);
            self.hear(event);
        }
        self.now = until;
    }

    /// The wanted that nothing keeps down are up.
    pub(super) fn check_alive(&self) {
        for (name, entry) in &self.book {
            if entry.wanted && !self.stopping && self.policies[name.as_str()].restart == Restart::Permanent {
                assert!(
                    entry.up.is_some() || entry.parked || entry.asleep,
                    "{name} is wanted and down for good: {:?}",
                    self.state
                );
            }
        }
    }

    fn up(&self) -> BTreeSet<&str> {
        self.book.iter().filter(|(_, entry)| entry.up.is_some()).map(|(name, _)| name.as_str()).collect()
    }

    fn unwant(&mut self, name: &str) {
        if let Some(entry) = self.book.get_mut(name) {
            entry.wanted = false;
        }
    }

    fn hear(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            self.before(&event);
            for action in step(&mut self.state, event.clone(), self.now, 0.0) {
                events.extend(self.carry_out(&event, action));
            }
        }
    }

    fn before(&mut self, event: &Event) {
        let now = self.now;
        match event {
            Event::Started { child, .. } => {
                if let Some(entry) = self.book.get_mut(child) {
                    entry.up = entry.up.map(|_| Some(now));
                }
            }
            Event::Exited { child, generation, .. } => {
                let Some(entry) = self.book.get_mut(child).filter(|entry| entry.generation == *generation) else {
                    return;
                };
                let stable = matches!(entry.up, Some(Some(since)) if now - since >= at(300));
                if stable {
                    entry.exponent = 0;
                    if entry.trial {
                        entry.restarts.clear();
                        entry.trial = false;
                    }
                }
                (entry.up, entry.told) = (None, false);
            }
            Event::Due { child, generation } => {
                if let Some(entry) = self.book.get_mut(child).filter(|entry| entry.generation == *generation)
                    && entry.parked
                {
                    (entry.parked, entry.trial) = (false, true);
                }
            }
            _ => {}
        }
    }

    fn carry_out(&mut self, because: &Event, action: Action) -> Option<Event> {
        self.check_bystanders(because, &action);
        match action {
            Action::Start { child, generation } => {
                self.check_start(&child, generation);
                let entry = self.book.get_mut(&child).unwrap();
                (entry.generation, entry.up, entry.parked, entry.asleep) = (generation, Some(None), false, false);
                match self.starts_fail {
                    true => Some(exited(&child, generation, Exit::StartFailed(Failure::new("boom", "boom")))),
                    false => Some(started(&child, generation)),
                }
            }
            Action::Stop { child, generation, within } => {
                self.check_stop(because, &child);
                let entry = self.book.get_mut(&child).unwrap();
                assert_eq!(entry.generation, generation, "another generation is told to stop");
                assert!(entry.up.is_some(), "{child} is told to stop and is not up");
                entry.told = true;
                assert_eq!(within == Duration::MAX, matches!(because, Event::Drain { .. }));
                None
            }
            Action::Wake { child, generation, after } => {
                self.check_restart(&child, after);
                self.timers.push((self.now + after, due(&child, generation)));
                None
            }
            Action::Park { child, .. } => {
                let entry = self.book.get_mut(&child).unwrap();
                let now = self.now;
                let spent = entry.restarts.iter().filter(|then| now - **then < at(600)).count();
                assert!(entry.trial || spent >= 3, "{child} is parked with {spent} restarts");
                (entry.parked, entry.trial) = (true, false);
                None
            }
            Action::Rest { child } => {
                let entry = self.book.get_mut(&child).unwrap();
                assert!(
                    entry.up.is_none() && entry.wanted && !self.stopping,
                    "{child} sleeps and is up, or not wanted"
                );
                assert!(matches!(because, Event::Exited { exit: Exit::Asleep, .. }), "{child} sleeps by {because:?}");
                entry.asleep = true;
                None
            }
            Action::Retry { child, generation, after } => {
                self.timers.push((self.now + after, due(&child, generation)));
                None
            }
            Action::Escalate { .. } => {
                self.stopping = true;
                None
            }
            Action::Forget { child } => {
                let entry = self.book.remove(&child).unwrap();
                assert!(entry.up.is_none(), "{child} is forgotten while it is up");
                // One that was added again while on its way out stands last from now on, with a clean record.
                if entry.wanted && self.state.generation(&child).is_some() {
                    self.next += 1;
                    let (order, wanted, generation) = (self.next, true, entry.generation);
                    self.book.insert(child, Ledger { order, wanted, generation, ..Ledger::default() });
                }
                None
            }
            Action::AllStopped => {
                assert!(self.stopping && self.up().is_empty(), "not all have stopped: {:?}", self.up());
                self.ended = true;
                None
            }
        }
    }

    /// (6) Under one-for-one an event about one child does nothing to another.
    fn check_bystanders(&self, because: &Event, action: &Action) {
        let (Some(of), Some(to)) = (subject(because), object(action)) else { return };
        assert!(self.stopping || self.strategy != Strategy::OneForOne || of == to, "{because:?} led to {action:?}");
    }

    /// (3) One generation at a time, (5) the removed never start, and each strategy's start order.
    fn check_start(&self, child: &str, generation: u32) {
        let entry = self.book.get(child).unwrap_or_else(|| panic!("{child} is not known"));
        assert!(entry.wanted && !self.stopping, "{child} starts and nobody wants it");
        assert!(entry.up.is_none(), "{child} starts twice");
        assert!(generation > entry.generation, "{child} {generation} again");
        for (name, other) in self.book.iter().filter(|(name, _)| *name != child) {
            let gone = self.state.is_leaving(name);
            let before = other.order < entry.order;
            match self.strategy {
                Strategy::OneForOne => {}
                _ if gone => {}
                _ if before => {
                    assert!(other.asleep || matches!(other.up, Some(Some(_))), "{child} starts before {name}")
                }
                Strategy::RestForOne => {}
                Strategy::OneForAll => {
                    assert!(other.up.is_none() || entry.asleep, "{child} starts while {name} is still up")
                }
            }
        }
    }

    /// (7) One by one, the last started first.
    fn check_stop(&self, because: &Event, child: &str) {
        let own = matches!(because, Event::Remove { child: of } | Event::Drain { child: of } if of == child);
        let order = self.book.get(child).map_or(0, |entry| entry.order);
        let alone = self.strategy == Strategy::OneForOne && !self.stopping;
        if own || alone || self.together {
            return;
        }
        for (name, other) in &self.book {
            let later_up = other.order > order && other.up.is_some();
            assert!(!later_up || (self.state.is_leaving(name) && !self.stopping), "{child} stops before {name}");
        }
    }

    /// (4) Never more restarts in a window than the budget, and (9) the backoff grows unless the child was stable.
    fn check_restart(&mut self, child: &str, after: Duration) {
        let now = self.now;
        let entry = self.book.get_mut(child).unwrap();
        assert!(!entry.trial, "a trial has no second chance");
        entry.restarts.push(now);
        let in_window = entry.restarts.iter().filter(|then| now - **then < at(600)).count();
        assert!(in_window <= 3, "{child} is restarted {in_window} times in its window");
        assert_eq!(after, at(60.min(1 << entry.exponent)), "{child}'s wait");
        entry.exponent += 1;
    }
}

fn subject(event: &Event) -> Option<&str> {
    match event {
        Event::Add { child, .. } | Event::Remove { child } | Event::Drain { child } => Some(child),
        Event::Refresh { child } | Event::Rouse { child } => Some(child),
        Event::Started { child, .. } | Event::Exited { child, .. } | Event::Due { child, .. } => Some(child),
        Event::StopAll => None,
    }
}

fn object(action: &Action) -> Option<&str> {
    match action {
        Action::Start { child, .. } | Action::Stop { child, .. } | Action::Wake { child, .. } => Some(child),
        Action::Park { child, .. } | Action::Retry { child, .. } => Some(child),
        Action::Rest { child } | Action::Forget { child } => Some(child),
        Action::Escalate { .. } | Action::AllStopped => None,
    }
}
