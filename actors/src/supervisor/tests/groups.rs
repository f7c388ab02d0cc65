//! Group restarts: who stops and starts with whom, and in which order.

use super::kit::*;
use crate::supervisor::{Action, Event, Exit, Restart, State, Strategy};

const ALL: [(&str, Restart); 4] =
    [("a", Restart::Permanent), ("b", Restart::Permanent), ("c", Restart::Temporary), ("d", Restart::Transient)];

/// Answers stops and starts as well-behaved children would, until nothing is left to do; the order is returned.
fn carry_out(state: &mut State, secs: u64, mut actions: Vec<Action>) -> Vec<String> {
    let mut order = Vec::new();
    while !actions.is_empty() {
        let action = actions.remove(0);
        match &action {
            Action::Start { child, generation } => {
                order.push(format!("+{child}{generation}"));
                actions.extend(hear(state, secs, started(child, *generation)));
            }
            Action::Stop { child, generation, .. } => {
                order.push(format!("-{child}{generation}"));
                actions.extend(hear(state, secs, exited(child, *generation, Exit::Stopped)));
            }
            Action::Forget { child } => order.push(format!("x{child}")),
            _ => {}
        }
    }
    order
}

#[test]
fn one_for_all_stops_in_reverse_and_starts_in_order() {
    let mut state = group(Strategy::OneForAll, &ALL);
    let actions = hear(&mut state, 1, exited("b", 1, failed()));
    assert_eq!(actions, [wake("b", 1, 1), stop("d", 1)], "the siblings stop at once, not after the backoff");
    assert_eq!(carry_out(&mut state, 1, actions), ["-d1", "-c1", "xc", "-a1"], "the temporary one is forgotten");
    let actions = hear(&mut state, 2, due("b", 1));
    assert_eq!(carry_out(&mut state, 2, actions), ["+a2", "+b2", "+d2"]);
    assert_eq!(state.restarts_in_window("a", at(2)), 0, "who was stopped for another's sake pays nothing");
}

#[test]
fn rest_for_one_leaves_those_before_alone() {
    let mut state = group(Strategy::RestForOne, &ALL);
    let actions = hear(&mut state, 1, exited("b", 1, killed()));
    assert_eq!(carry_out(&mut state, 1, actions), ["-d1", "-c1", "xc"]);
    let actions = hear(&mut state, 2, due("b", 1));
    assert_eq!(carry_out(&mut state, 2, actions), ["+b2", "+d2"]);
}

#[test]
fn one_for_one_concerns_nobody_else() {
    let mut state = group(Strategy::OneForOne, &ALL);
    assert_eq!(hear(&mut state, 1, exited("b", 1, failed())), [wake("b", 1, 1)]);
    assert_eq!(hear(&mut state, 2, due("b", 1)), [start("b", 2)]);
}

#[test]
fn a_normal_end_that_is_no_fault_restarts_nobody() {
    let mut state = group(Strategy::OneForAll, &ALL);
    assert_eq!(hear(&mut state, 1, exited("d", 1, Exit::Normal)), [forget("d")]);
    assert_eq!(hear(&mut state, 1, exited("c", 1, failed())), [forget("c")]);
}

#[test]
fn the_starts_wait_until_the_last_stop() {
    let mut state = group(Strategy::OneForAll, &ALL[..2]);
    assert_eq!(hear(&mut state, 1, exited("a", 1, failed())), [wake("a", 1, 1), stop("b", 1)]);
    assert_eq!(hear(&mut state, 2, due("a", 1)), [], "b has not stopped yet");
    assert_eq!(hear(&mut state, 6, exited("b", 1, killed())), [start("a", 2)], "however it stopped, it is not counted");
    assert_eq!(state.restarts_in_window("b", at(6)), 0);
    assert_eq!(hear(&mut state, 6, started("a", 2)), [start("b", 2)]);
}

#[test]
fn a_child_that_cannot_start_in_a_group_restart_counts_once() {
    let mut state = group(Strategy::OneForAll, &[ALL[0], ALL[1], ALL[3]]);
    let actions = hear(&mut state, 1, exited("a", 1, failed()));
    carry_out(&mut state, 1, actions);
    assert_eq!(hear(&mut state, 2, due("a", 1)), [start("a", 2)]);
    assert_eq!(hear(&mut state, 2, started("a", 2)), [start("b", 2)]);
    let unstarted = Exit::StartFailed(greenroom_contract::execution::Failure::new("boom", "boom"));
    let actions = hear(&mut state, 2, exited("b", 2, unstarted));
    assert_eq!(actions, [wake("b", 2, 1), stop("a", 2)], "what had started stops again");
    carry_out(&mut state, 2, actions);
    assert_eq!(state.restarts_in_window("a", at(2)), 1);
    assert_eq!(state.restarts_in_window("b", at(2)), 1);
    assert_eq!(state.restarts_in_window("d", at(2)), 0);
    let actions = hear(&mut state, 3, due("b", 2));
    assert_eq!(carry_out(&mut state, 3, actions), ["+a3", "+b3", "+d2"]);
}

#[test]
fn a_removal_in_the_midst_of_a_group_restart_holds() {
    let mut state = group(Strategy::OneForAll, &[ALL[0], ALL[1], ALL[3]]);
    hear(&mut state, 1, exited("a", 1, failed()));
    assert_eq!(hear(&mut state, 1, remove("d")), [], "it is stopping already");
    assert_eq!(hear(&mut state, 1, exited("d", 1, Exit::Stopped)), [forget("d"), stop("b", 1)]);
    assert_eq!(hear(&mut state, 1, exited("b", 1, Exit::Stopped)), []);
    assert_eq!(hear(&mut state, 1, remove("b")), [forget("b")], "it was waiting for its start");
    let actions = hear(&mut state, 2, due("a", 1));
    assert_eq!(carry_out(&mut state, 2, actions), ["+a2"]);
    // And when the one that all wait for is removed, the others go on.
    let mut state = group(Strategy::OneForAll, &[ALL[0], ALL[1]]);
    hear(&mut state, 1, exited("a", 1, failed()));
    hear(&mut state, 1, exited("b", 1, Exit::Stopped));
    assert_eq!(hear(&mut state, 1, remove("a")), [forget("a"), start("b", 2)]);
}

#[test]
fn everything_can_stop_in_the_midst_of_a_group_restart() {
    let mut state = group(Strategy::OneForAll, &[ALL[0], ALL[1], ALL[3]]);
    hear(&mut state, 1, exited("a", 1, failed()));
    assert_eq!(hear(&mut state, 1, Event::StopAll), [], "d is stopping already, b has its turn after it");
    assert_eq!(hear(&mut state, 1, exited("d", 1, Exit::Stopped)), [stop("b", 1)]);
    assert_eq!(hear(&mut state, 1, exited("b", 1, Exit::Stopped)), [forget("b"), Action::AllStopped]);
    assert_eq!(hear(&mut state, 2, due("a", 1)), []);
}

#[test]
fn a_refresh_takes_the_group_with_it_and_an_addition_waits_for_it() {
    let mut state = group(Strategy::RestForOne, &[ALL[0], ALL[1], ALL[3]]);
    assert_eq!(hear(&mut state, 1, refresh("b")), [stop("d", 1)]);
    assert_eq!(hear(&mut state, 1, add("e", policy(Restart::Permanent))), []);
    assert_eq!(hear(&mut state, 1, exited("d", 1, Exit::Stopped)), [stop("b", 1)]);
    let actions = hear(&mut state, 1, exited("b", 1, Exit::Stopped));
    assert_eq!(carry_out(&mut state, 1, actions), ["+b2", "+d2", "+e1"]);
    assert_eq!(state.restarts_in_window("b", at(1)), 0);
}
