//! Short words for the tests.

use std::time::Duration;

use greenroom_contract::execution::Failure;

use crate::supervisor::{Action, Event, Exit, OnExhausted, Policy, Restart, State, Strategy, step};

pub(super) fn policy(restart: Restart) -> Policy {
    Policy {
        restart,
        max_restarts: 3,
        window: Duration::from_secs(600),
        backoff_min: Duration::from_secs(1),
        backoff_max: Duration::from_secs(60),
        stable_after: Duration::from_secs(300),
        shutdown: Duration::from_secs(5),
        on_exhausted: OnExhausted::Park,
        retry_parked_after: Some(Duration::from_secs(900)),
    }
}

pub(super) fn failed() -> Exit {
    Exit::Failed(Failure::new("boom", "boom"))
}

pub(super) fn killed() -> Exit {
    Exit::Killed(Failure::new("killed", "killed"))
}

pub(super) fn at(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) fn add(child: &str, policy: Policy) -> Event {
    Event::Add { child: child.into(), policy }
}

pub(super) fn remove(child: &str) -> Event {
    Event::Remove { child: child.into() }
}

pub(super) fn drain(child: &str) -> Event {
    Event::Drain { child: child.into() }
}

pub(super) fn refresh(child: &str) -> Event {
    Event::Refresh { child: child.into() }
}

pub(super) fn rouse(child: &str) -> Event {
    Event::Rouse { child: child.into() }
}

pub(super) fn started(child: &str, generation: u32) -> Event {
    Event::Started { child: child.into(), generation }
}

pub(super) fn exited(child: &str, generation: u32, exit: Exit) -> Event {
    Event::Exited { child: child.into(), generation, exit }
}

pub(super) fn due(child: &str, generation: u32) -> Event {
    Event::Due { child: child.into(), generation }
}

pub(super) fn start(child: &str, generation: u32) -> Action {
    Action::Start { child: child.into(), generation }
}

pub(super) fn stop(child: &str, generation: u32) -> Action {
    Action::Stop { child: child.into(), generation, within: at(5) }
}

pub(super) fn wake(child: &str, generation: u32, after: u64) -> Action {
    Action::Wake { child: child.into(), generation, after: at(after) }
}

pub(super) fn park(child: &str, exit: Exit) -> Action {
    Action::Park { child: child.into(), exit }
}

pub(super) fn retry(child: &str, generation: u32) -> Action {
    Action::Retry { child: child.into(), generation, after: at(900) }
}

pub(super) fn rest(child: &str) -> Action {
    Action::Rest { child: child.into() }
}

pub(super) fn forget(child: &str) -> Action {
    Action::Forget { child: child.into() }
}

/// One event at this second, without jitter.
pub(super) fn hear(state: &mut State, secs: u64, event: Event) -> Vec<Action> {
    step(state, event, at(secs), 0.0)
}

/// Children that are up in their first generation, added in this order at second 0.
pub(super) fn group(strategy: Strategy, children: &[(&str, Restart)]) -> State {
    let mut state = State::with_strategy(strategy);
    for (child, restart) in children {
        assert_eq!(hear(&mut state, 0, add(child, policy(*restart))), [start(child, 1)]);
        assert_eq!(hear(&mut state, 0, started(child, 1)), []);
    }
    state
}

/// A child `a` that is up.
pub(super) fn with_child(restart: Restart) -> State {
    group(Strategy::OneForOne, &[("a", restart)])
}
