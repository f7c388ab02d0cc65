//! When the budget is spent: parked, tried again, or handed upwards.

use super::kit::*;
use crate::supervisor::{Action, Event, Exit, OnExhausted, Policy, Restart, State, Strategy};

/// A child `a` with no restarts to spend, parked at second 1.
fn parked(strategy: Strategy, siblings: &[&str]) -> State {
    let mut state = State::with_strategy(strategy);
    for child in ["a"].iter().chain(siblings) {
        hear(&mut state, 0, add(child, Policy { max_restarts: 0, ..policy(Restart::Permanent) }));
        hear(&mut state, 0, started(child, 1));
    }
    let actions = hear(&mut state, 1, exited("a", 1, failed()));
    assert_eq!(actions[..2], [park("a", failed()), retry("a", 1)]);
    state
}

#[test]
fn a_trial_that_fails_parks_again_without_a_new_budget() {
    let mut state = State::default();
    hear(&mut state, 0, add("a", policy(Restart::Permanent)));
    for generation in 1..=3 {
        hear(&mut state, 1, exited("a", generation, failed()));
        hear(&mut state, 2, due("a", generation));
    }
    hear(&mut state, 3, exited("a", 4, failed()));
    assert_eq!(hear(&mut state, 903, due("a", 4)), [start("a", 5)]);
    hear(&mut state, 903, started("a", 5));
    assert_eq!(state.restarts_in_window("a", at(903)), 0, "the window has slid, yet the trial has one chance only");
    assert_eq!(hear(&mut state, 1000, exited("a", 5, failed())), [park("a", failed()), retry("a", 5)]);
    assert_eq!(hear(&mut state, 1001, due("a", 4)), [], "an old timer starts nothing");
    assert_eq!(hear(&mut state, 1900, due("a", 5)), [start("a", 6)]);
    let unstarted = Exit::StartFailed(greenroom_contract::execution::Failure::new("boom", "boom"));
    let again = hear(&mut state, 1900, exited("a", 6, unstarted.clone()));
    assert_eq!(again, [park("a", unstarted), retry("a", 6)], "a trial that cannot start has failed");
}

#[test]
fn a_trial_that_is_stable_has_its_budget_back() {
    let rules = Policy { retry_parked_after: Some(at(10)), ..policy(Restart::Permanent) };
    let mut state = State::default();
    hear(&mut state, 0, add("a", rules));
    for generation in 1..=3 {
        hear(&mut state, 1, exited("a", generation, failed()));
        hear(&mut state, 2, due("a", generation));
    }
    hear(&mut state, 3, exited("a", 4, failed()));
    assert_eq!(hear(&mut state, 13, due("a", 4)), [start("a", 5)]);
    hear(&mut state, 13, started("a", 5));
    assert_eq!(state.restarts_in_window("a", at(14)), 3, "not proven yet");
    assert!(!state.is_settled(at(14)), "to end it now would be to let it pass");
    assert_eq!(state.restarts_in_window("a", at(313)), 0);
    assert!(state.is_settled(at(313)));
    assert_eq!(hear(&mut state, 320, exited("a", 5, failed())), [wake("a", 5, 1)], "budget and backoff are clean");
    assert_eq!(state.restarts_in_window("a", at(320)), 1);
}

#[test]
fn parked_for_good_where_no_trial_is_wanted() {
    let mut state = State::default();
    let rules = Policy { max_restarts: 0, retry_parked_after: None, ..policy(Restart::Permanent) };
    hear(&mut state, 0, add("a", rules));
    assert_eq!(hear(&mut state, 1, exited("a", 1, failed())), [park("a", failed())]);
    assert_eq!(hear(&mut state, 2, refresh("a")), [start("a", 2)]);
}

#[test]
fn a_parked_child_can_be_removed_refreshed_and_stopped() {
    let mut state = parked(Strategy::OneForOne, &[]);
    assert_eq!(hear(&mut state.clone(), 2, remove("a")), [forget("a")]);
    assert_eq!(hear(&mut state.clone(), 2, drain("a")), [forget("a")]);
    assert_eq!(hear(&mut state.clone(), 2, Event::StopAll), [Action::AllStopped]);
    let mut gone = state.clone();
    hear(&mut gone, 2, remove("a"));
    assert_eq!(hear(&mut gone, 901, due("a", 1)), [], "removal while parked never returns");
    // Half-open: removed and refreshed during the trial.
    hear(&mut state, 901, due("a", 1));
    hear(&mut state, 901, started("a", 2));
    assert_eq!(hear(&mut state.clone(), 902, remove("a")), [stop("a", 2)]);
    assert_eq!(hear(&mut state, 902, refresh("a")), [stop("a", 2)]);
    assert_eq!(hear(&mut state, 903, exited("a", 2, Exit::Stopped)), [start("a", 3)]);
}

#[test]
fn siblings_do_not_notice_a_parked_child_unless_they_are_tied_to_it() {
    let mut state = parked(Strategy::OneForOne, &["b"]);
    assert_eq!(hear(&mut state, 2, exited("b", 1, failed())), [park("b", failed()), retry("b", 1)], "b was up");

    let mut state = parked(Strategy::RestForOne, &["b"]);
    assert_eq!(hear(&mut state, 2, exited("b", 1, Exit::Stopped)), [], "b was stopped with a, and waits for it");
    assert!(state.waiting().eq(["b"]));
    assert_eq!(hear(&mut state.clone(), 3, remove("a")), [forget("a"), start("b", 2)], "nothing to wait for any more");
    assert_eq!(hear(&mut state, 901, due("a", 1)), [start("a", 2)]);
    assert_eq!(hear(&mut state, 901, started("a", 2)), [start("b", 2)]);
}

#[test]
fn escalation_stops_the_siblings_and_ends_the_supervisor() {
    let rules = Policy { max_restarts: 1, on_exhausted: OnExhausted::Escalate, ..policy(Restart::Permanent) };
    let mut state = State::default();
    for child in ["a", "b", "c"] {
        hear(&mut state, 0, add(child, rules.clone()));
        hear(&mut state, 0, started(child, 1));
    }
    assert_eq!(hear(&mut state, 1, exited("b", 1, failed())), [wake("b", 1, 1)]);
    hear(&mut state, 2, due("b", 1));
    let escalate = Action::Escalate { child: "b".into(), exit: killed() };
    assert_eq!(hear(&mut state, 3, exited("b", 2, killed())), [escalate, stop("c", 1)]);
    assert_eq!(hear(&mut state, 3, refresh("b")), [], "it is decided");
    assert_eq!(hear(&mut state, 3, exited("c", 1, Exit::Stopped)), [forget("c"), stop("a", 1)]);
    assert_eq!(hear(&mut state, 4, exited("a", 1, failed())), [forget("a"), Action::AllStopped]);
}

#[test]
fn an_escalation_with_nobody_else_ends_at_once() {
    let rules = Policy { max_restarts: 0, on_exhausted: OnExhausted::Escalate, ..policy(Restart::Permanent) };
    let mut state = State::default();
    hear(&mut state, 0, add("a", rules));
    let escalate = Action::Escalate { child: "a".into(), exit: failed() };
    assert_eq!(hear(&mut state, 0, exited("a", 1, failed())), [escalate, Action::AllStopped]);
}
