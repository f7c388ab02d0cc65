//! Whom one child's restart or end concerns besides itself: who stops in which order, and who starts when.
//!
//! A group restart is no phase of the supervisor but a wish of each child: `Doomed` waits for its turn to stop, `Waiting`
//! for its turn to start. [`advance`] gives the turns: first all stop, the last started first; then all start, the first
//! first, each when the one before is up. So every event (a removal, a crash, a refresh) is right at every moment of it.

use super::{
    event::Action,
    policy::Restart,
    state::{Phase, State, Strategy, Then},
};

/// Marks those that the strategy ties to a child: they stop and start with it. Who is down already stays so.
pub(super) fn doom(state: &mut State, at: u64) {
    let first = match state.strategy {
        Strategy::OneForOne => return,
        Strategy::RestForOne => at + 1,
        Strategy::OneForAll => 0,
    };
    state.moving = true;
    for (other, child) in state.children.range_mut(first..) {
        if *other != at && matches!(child.phase, Phase::Starting | Phase::Running) {
            // As in OTP: a temporary child is stopped with its group and not started with it.
            let then = if child.policy.restart == Restart::Temporary { Then::Forget } else { Then::Start };
            child.phase = Phase::Doomed(then);
        }
    }
}

/// Gives the next turns, to stop or to start.
pub(super) fn advance(state: &mut State) -> Vec<Action> {
    let mut actions = Vec::new();
    if !state.moving || state.stopping {
        return actions;
    }
    let mut stopping = false;
    for child in state.children.values_mut().rev() {
        match child.phase {
            Phase::Doomed(then) => actions.push(child.stop(then)),
            Phase::Stopping(_) => {}
            _ => continue,
        }
        stopping = true;
        if !state.together {
            break;
        }
    }
    if stopping {
        return actions;
    }
    let down = |phase| matches!(phase, Phase::Starting | Phase::Backoff | Phase::Parked);
    // Under one-for-all nobody can do without anybody; under rest-for-one without those before it. One that sleeps is
    // there: it is roused when it is needed.
    let mut held = state.strategy == Strategy::OneForAll && state.children.values().any(|child| down(child.phase));
    state.moving = false;
    for child in state.children.values_mut() {
        if child.phase == Phase::Waiting {
            if !held {
                actions.push(child.start());
            } else {
                state.moving = true;
            }
        }
        held = held || down(child.phase);
    }
    actions
}

/// Stops what is to stop next: all equals at once, or else the last started child that is still up. What is down
/// already stays down, whatever it was waiting for.
pub(super) fn stop_more(state: &mut State) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut still_up = false;
    for child in state.children.values_mut().rev() {
        match child.phase {
            Phase::Starting | Phase::Running | Phase::Doomed(_) | Phase::Draining => {
                if state.together || !still_up {
                    actions.push(child.stop(Then::Forget));
                }
                still_up = true;
            }
            Phase::Stopping(_) => still_up = true,
            Phase::Backoff | Phase::Parked | Phase::Asleep | Phase::Waiting | Phase::Down => child.phase = Phase::Down,
        }
    }
    if !still_up {
        actions.push(Action::AllStopped);
    }
    actions
}

/// One more is down while everything stops.
pub(super) fn one_stopped(state: &mut State) -> Vec<Action> {
    // Equals have all been told already: with thousands of them, a look at each at each end would add up.
    if state.together && state.children.values().any(|child| matches!(child.phase, Phase::Stopping(_))) {
        return Vec::new();
    }
    stop_more(state)
}
