//! The pure core: `step(state, event, now) → actions`. What an event means for its own child is decided here; whom it
//! concerns besides, and in which order, in [`super::group`].

use std::time::Duration;

use super::{
    event::{Action, Event},
    group,
    policy::{Exit, OnExhausted, Policy, Restart},
    state::{Phase, State, Strategy, Then},
};

/// Decides. `now` is a monotonic time since any fixed moment; `jitter` is in 0..=1.
/// An event about a child or a generation that is no longer there is ignored: it is late news.
pub fn step(state: &mut State, event: Event, now: Duration, jitter: f64) -> Vec<Action> {
    let mut actions = match event {
        Event::Add { child, policy } => add(state, child, policy),
        Event::Remove { child } => remove(state, &child),
        Event::Drain { child } => drain(state, &child),
        Event::Started { child, generation } => {
            if let Some(child) = current(state, &child, generation).and_then(|at| state.children.get_mut(&at))
                && child.phase == Phase::Starting
            {
                child.phase = Phase::Running;
                child.since = Some(now);
            }
            Vec::new()
        }
        Event::Exited { child, generation, exit } => match current(state, &child, generation) {
            Some(at) => exited(state, at, exit, now, jitter),
            None => Vec::new(),
        },
        Event::Due { child, generation } => match current(state, &child, generation) {
            Some(at) => due(state, at),
            None => Vec::new(),
        },
        Event::Rouse { child } => rouse(state, &child),
        Event::Refresh { child } => refresh(state, &child),
        Event::StopAll => {
            state.stopping = true;
            group::stop_more(state)
        }
    };
    actions.extend(group::advance(state));
    actions
}

fn current(state: &State, name: &str, generation: u32) -> Option<u64> {
    let at = *state.names.get(name)?;
    state.children.get(&at).is_some_and(|child| child.generation == generation).then_some(at)
}

fn add(state: &mut State, name: String, policy: Policy) -> Vec<Action> {
    if state.stopping {
        return Vec::new();
    }
    if let Some(child) = state.names.get(&name).and_then(|at| state.children.get_mut(at)) {
        if child.phase.leaving() {
            child.again = Some(Box::new(policy));
        }
        return Vec::new();
    }
    let at = state.enter(name, policy, 0);
    go(state, at)
}

/// Starts a child now where it stands alone, else when its turn comes.
fn go(state: &mut State, at: u64) -> Vec<Action> {
    let alone = state.strategy == Strategy::OneForOne;
    let Some(child) = state.children.get_mut(&at) else { return Vec::new() };
    if alone {
        return vec![child.start()];
    }
    child.phase = Phase::Waiting;
    state.moving = true;
    Vec::new()
}

fn forget(state: &mut State, at: u64) -> Vec<Action> {
    let Some(child) = state.children.remove(&at).map(|child| *child) else { return Vec::new() };
    state.names.remove(&child.name);
    let mut actions = vec![Action::Forget { child: child.name.clone() }];
    if let Some(policy) = child.again
        && !state.stopping
    {
        // The generations go on, so that late news and late timers of the one that is gone do not meet its successor.
        let at = state.enter(child.name, *policy, child.generation);
        actions.extend(go(state, at));
    }
    actions
}

fn remove(state: &mut State, name: &str) -> Vec<Action> {
    let Some(at) = state.names.get(name).copied() else { return Vec::new() };
    let Some(child) = state.children.get_mut(&at) else { return Vec::new() };
    child.again = None;
    match child.phase {
        Phase::Starting | Phase::Running | Phase::Doomed(_) | Phase::Draining => vec![child.stop(Then::Forget)],
        Phase::Stopping(_) => {
            child.phase = Phase::Stopping(Then::Forget);
            Vec::new()
        }
        Phase::Backoff | Phase::Parked | Phase::Asleep | Phase::Waiting | Phase::Down => forget(state, at),
    }
}

fn drain(state: &mut State, name: &str) -> Vec<Action> {
    let Some(at) = state.names.get(name).copied() else { return Vec::new() };
    let Some(child) = state.children.get_mut(&at) else { return Vec::new() };
    child.again = None;
    match child.phase {
        Phase::Starting | Phase::Running | Phase::Doomed(_) => vec![child.drain()],
        Phase::Stopping(_) => {
            child.phase = Phase::Stopping(Then::Forget);
            Vec::new()
        }
        Phase::Draining => Vec::new(),
        Phase::Backoff | Phase::Parked | Phase::Asleep | Phase::Waiting | Phase::Down => forget(state, at),
    }
}

fn due(state: &mut State, at: u64) -> Vec<Action> {
    let Some(child) = state.children.get_mut(&at) else { return Vec::new() };
    match child.phase {
        Phase::Backoff => go(state, at),
        Phase::Parked => {
            child.trial = true;
            go(state, at)
        }
        _ => Vec::new(),
    }
}

fn rouse(state: &mut State, name: &str) -> Vec<Action> {
    match state.names.get(name).copied() {
        Some(at) if state.children.get(&at).is_some_and(|child| child.phase == Phase::Asleep) => go(state, at),
        _ => Vec::new(),
    }
}

fn refresh(state: &mut State, name: &str) -> Vec<Action> {
    let Some(at) = state.names.get(name).copied().filter(|_| !state.stopping) else { return Vec::new() };
    let Some(child) = state.children.get_mut(&at) else { return Vec::new() };
    if let Some(shared) = &mut state.shared {
        shared.clear();
    }
    child.restarts.clear();
    child.unstable = 0;
    child.trial = false;
    match child.phase {
        Phase::Starting | Phase::Running if state.strategy == Strategy::OneForOne => {
            vec![child.stop(Then::Start)]
        }
        Phase::Starting | Phase::Running => {
            // It is stopped in its turn, after those that depend on it.
            child.phase = Phase::Doomed(Then::Start);
            group::doom(state, at);
            Vec::new()
        }
        Phase::Backoff | Phase::Parked | Phase::Asleep => go(state, at),
        Phase::Doomed(_) | Phase::Stopping(_) | Phase::Draining | Phase::Waiting | Phase::Down => Vec::new(),
    }
}

fn exited(state: &mut State, at: u64, exit: Exit, now: Duration, jitter: f64) -> Vec<Action> {
    let stopping = state.stopping;
    let Some(child) = state.children.get_mut(&at) else { return Vec::new() };
    if child.is_stable(now) {
        child.unstable = 0;
        if std::mem::take(&mut child.trial) {
            state.shared.as_mut().unwrap_or(&mut child.restarts).clear();
        }
    }
    child.since = None;
    let mut actions = match child.phase {
        Phase::Backoff | Phase::Parked | Phase::Asleep | Phase::Waiting | Phase::Down => return Vec::new(),
        Phase::Draining | Phase::Doomed(Then::Forget) | Phase::Stopping(Then::Forget) => forget(state, at),
        _ if stopping => {
            child.phase = Phase::Down;
            Vec::new()
        }
        Phase::Doomed(Then::Start) | Phase::Stopping(Then::Start) => go(state, at),
        Phase::Starting | Phase::Running => ended(state, at, exit, now, jitter),
    };
    if stopping {
        actions.extend(group::one_stopped(state));
    }
    actions
}

/// A child that was wanted ended: it sleeps, or waits for its restart, or is parked, or takes the supervisor with it.
fn ended(state: &mut State, at: u64, exit: Exit, now: Duration, jitter: f64) -> Vec<Action> {
    let Some(child) = state.children.get_mut(&at) else { return Vec::new() };
    if exit == Exit::Asleep {
        // Whoever depends on it does not notice, and what it has on its account it keeps.
        child.phase = Phase::Asleep;
        return vec![Action::Rest { child: child.name.clone() }];
    }
    let wanted = match child.policy.restart {
        Restart::Permanent => true,
        Restart::Transient => exit.failure().is_some(),
        Restart::Temporary => false,
    };
    if !wanted {
        return forget(state, at);
    }
    // One that was stable is on trial no more.
    let failed_trial = std::mem::take(&mut child.trial);
    let window = child.policy.window;
    let restarts = state.shared.as_mut().unwrap_or(&mut child.restarts);
    restarts.retain(|at| now.saturating_sub(*at) < window);
    let spent = failed_trial || restarts.len() >= child.policy.max_restarts as usize;
    let (name, generation) = (child.name.clone(), child.generation);
    if spent && child.policy.on_exhausted == OnExhausted::Escalate {
        child.phase = Phase::Down;
        state.stopping = true;
        let mut actions = vec![Action::Escalate { child: name, exit }];
        actions.extend(group::stop_more(state));
        return actions;
    }
    let actions = if spent {
        child.phase = Phase::Parked;
        let retry = child.policy.retry_parked_after;
        let retry = retry.map(|after| Action::Retry { child: name.clone(), generation, after });
        std::iter::once(Action::Park { child: name, exit }).chain(retry).collect()
    } else {
        restarts.push_back(now);
        let after = child.policy.backoff(child.unstable, jitter);
        child.unstable += 1;
        child.phase = Phase::Backoff;
        vec![Action::Wake { child: name, generation, after }]
    };
    group::doom(state, at);
    actions
}
