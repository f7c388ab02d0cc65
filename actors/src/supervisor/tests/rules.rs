//! The core's rules, one by one.

use std::time::Duration;

use super::kit::*;
use crate::supervisor::{Action, Event, Exit, Policy, Restart, State, Strategy, step};

#[test]
fn the_budget_parks_and_an_operator_starts_afresh() {
    let mut state = with_child(Restart::Permanent);
    for generation in 1..=3 {
        let actions = hear(&mut state, u64::from(generation), exited("a", generation, failed()));
        assert!(matches!(actions[..], [Action::Wake { .. }]), "restart {generation} is within the budget");
        hear(&mut state, 10, due("a", generation));
    }
    assert_eq!(hear(&mut state, 20, exited("a", 4, failed())), [park("a", failed()), retry("a", 4)]);
    assert_eq!(hear(&mut state, 30, refresh("a")), [start("a", 5)]);
    assert_eq!(state.restarts_in_window("a", at(30)), 0);
}

#[test]
fn the_window_slides_and_stability_resets_the_backoff() {
    let mut state = with_child(Restart::Permanent);
    hear(&mut state, 1, exited("a", 1, failed()));
    hear(&mut state, 2, due("a", 1));
    hear(&mut state, 2, started("a", 2));
    assert_eq!(hear(&mut state.clone(), 301, exited("a", 2, failed())), [wake("a", 2, 2)], "299 s are not stable");
    assert_eq!(hear(&mut state, 700, exited("a", 2, failed())), [wake("a", 2, 1)], "it had been stable");
    assert_eq!(state.restarts_in_window("a", at(700)), 1, "the first restart has left the window");
}

#[test]
fn stability_counts_from_a_completed_start() {
    let mut state = State::default();
    hear(&mut state, 0, add("a", policy(Restart::Permanent)));
    hear(&mut state, 400, started("a", 1));
    hear(&mut state, 401, exited("a", 1, failed()));
    hear(&mut state, 402, due("a", 1));
    assert_eq!(hear(&mut state, 900, exited("a", 2, failed())), [wake("a", 2, 2)], "it hung in its start for 498 s");
}

#[test]
fn jitter_spreads_the_backoff_and_start_failures_count() {
    let mut state = State::default();
    hear(&mut state, 0, add("a", policy(Restart::Permanent)));
    let failure = match failed() {
        Exit::Failed(failure) => Exit::StartFailed(failure),
        other => other,
    };
    let actions = step(&mut state, exited("a", 1, failure.clone()), at(0), 1.0);
    assert_eq!(actions, [Action::Wake { child: "a".into(), generation: 1, after: Duration::from_millis(1200) }]);
    for generation in 2..=3 {
        hear(&mut state, 10, due("a", generation - 1));
        hear(&mut state, 10, exited("a", generation, failure.clone()));
    }
    hear(&mut state, 20, due("a", 3));
    assert_eq!(hear(&mut state, 20, exited("a", 4, failure.clone())), [park("a", failure), retry("a", 4)]);
}

#[test]
fn a_shared_budget_is_spent_by_all() {
    let mut state = State::with_shared_budget();
    for child in ["a", "b"] {
        hear(&mut state, 0, add(child, policy(Restart::Permanent)));
        hear(&mut state, 0, started(child, 1));
    }
    for (child, generation) in [("a", 1), ("b", 1), ("a", 2)] {
        assert!(matches!(hear(&mut state, 1, exited(child, generation, failed()))[..], [Action::Wake { .. }]));
        hear(&mut state, 1, due(child, generation));
    }
    assert_eq!(hear(&mut state, 2, exited("b", 2, failed())), [park("b", failed()), retry("b", 2)]);
    assert_eq!(state.restarts_in_window("a", at(2)), 3);
}

#[test]
fn removal_during_backoff_never_returns() {
    let mut state = with_child(Restart::Permanent);
    hear(&mut state, 1, exited("a", 1, failed()));
    assert_eq!(hear(&mut state, 1, remove("a")), [forget("a")]);
    assert_eq!(hear(&mut state, 2, due("a", 1)), []);
}

#[test]
fn all_stop_in_reverse_order_and_late_news_is_ignored() {
    let mut state = group(Strategy::OneForOne, &[("a", Restart::Permanent), ("b", Restart::Permanent)]);
    assert_eq!(hear(&mut state, 1, Event::StopAll), [stop("b", 1)]);
    assert_eq!(hear(&mut state, 1, exited("a", 7, failed())), [], "an unknown generation changes nothing");
    assert_eq!(hear(&mut state, 1, exited("b", 1, Exit::Stopped)), [forget("b"), stop("a", 1)]);
    assert_eq!(hear(&mut state, 1, exited("a", 1, Exit::Stopped)), [forget("a"), Action::AllStopped]);
    assert_eq!(hear(&mut state, 2, add("c", policy(Restart::Permanent))), [], "nothing begins after the end");
}

#[test]
fn equals_stop_all_at_once() {
    let mut state = State::of_equals();
    for child in ["a", "b", "c"] {
        hear(&mut state, 0, add(child, policy(Restart::Permanent)));
        hear(&mut state, 0, started(child, 1));
    }
    hear(&mut state, 1, exited("c", 1, failed()));
    assert_eq!(hear(&mut state, 1, Event::StopAll), [stop("b", 1), stop("a", 1)]);
    assert_eq!(hear(&mut state, 1, exited("a", 1, Exit::Stopped)), [forget("a")]);
    assert_eq!(hear(&mut state, 1, due("c", 1)), [], "what waits for a restart waits no more");
    assert_eq!(hear(&mut state, 1, exited("b", 1, killed())), [forget("b"), Action::AllStopped]);
}

#[test]
fn what_is_added_again_on_its_way_out_comes_back_when_it_is_gone() {
    let other = Policy { max_restarts: 0, ..policy(Restart::Permanent) };
    let mut state = with_child(Restart::Permanent);
    assert_eq!(hear(&mut state, 1, remove("a")), [stop("a", 1)]);
    assert_eq!(hear(&mut state, 1, add("a", other)), []);
    assert_eq!(hear(&mut state, 2, exited("a", 1, Exit::Stopped)), [forget("a"), start("a", 2)]);
    assert_eq!(hear(&mut state, 2, started("a", 2)), []);
    assert_eq!(hear(&mut state, 3, exited("a", 2, failed()))[0], park("a", failed()), "under the new rules");

    let mut state = with_child(Restart::Permanent);
    hear(&mut state, 1, remove("a"));
    hear(&mut state, 1, add("a", policy(Restart::Permanent)));
    hear(&mut state, 1, remove("a"));
    assert_eq!(hear(&mut state, 2, exited("a", 1, Exit::Stopped)), [forget("a")], "the last word counts");
}

#[test]
fn a_drained_child_has_no_limit_until_it_is_removed() {
    let drained = Action::Stop { child: "a".into(), generation: 1, within: Duration::MAX };
    let mut state = with_child(Restart::Permanent);
    assert_eq!(hear(&mut state, 1, drain("a")), [drained]);
    assert_eq!(hear(&mut state, 1, refresh("a")), [], "it is on its way out");
    assert_eq!(hear(&mut state.clone(), 9999, exited("a", 1, failed())), [forget("a")], "however it ends");
    assert_eq!(hear(&mut state.clone(), 2, Event::StopAll), [stop("a", 1)]);
    assert_eq!(hear(&mut state, 2, remove("a")), [stop("a", 1)]);
    assert_eq!(hear(&mut state, 3, exited("a", 1, killed())), [forget("a")]);
}

#[test]
fn a_refresh_restarts_in_every_phase_and_never_counts() {
    let mut state = with_child(Restart::Permanent);
    assert_eq!(hear(&mut state, 1, refresh("a")), [stop("a", 1)]);
    assert_eq!(hear(&mut state, 1, refresh("a")), [], "it is being restarted already");
    assert_eq!(hear(&mut state, 2, exited("a", 1, killed())), [start("a", 2)]);
    assert_eq!(state.restarts_in_window("a", at(2)), 0);
    hear(&mut state, 3, exited("a", 2, failed()));
    assert_eq!(hear(&mut state, 3, refresh("a")), [start("a", 3)], "a backoff is cut short");
    assert_eq!(hear(&mut state, 4, due("a", 2)), [], "its timer is late news");
}

#[test]
fn who_sleeps_starts_when_it_is_roused_and_keeps_its_account() {
    let mut state = with_child(Restart::Permanent);
    assert_eq!(hear(&mut state, 1, rouse("a")), [], "it is up");
    hear(&mut state, 1, exited("a", 1, failed()));
    assert_eq!(hear(&mut state, 1, rouse("a")), [], "it has its wait");
    hear(&mut state, 2, due("a", 1));
    hear(&mut state, 2, started("a", 2));
    assert_eq!(hear(&mut state, 3, exited("a", 2, Exit::Asleep)), [rest("a")]);
    assert_eq!(state.restarts_in_window("a", at(3)), 1, "sleep is no restart, and forgives none");
    assert_eq!(hear(&mut state, 3, due("a", 2)), [], "no timer wakes it");
    assert_eq!(hear(&mut state, 4, rouse("a")), [start("a", 3)]);
    hear(&mut state, 4, started("a", 3));
    assert_eq!(hear(&mut state, 5, exited("a", 3, failed())), [wake("a", 3, 2)], "the backoff goes on");
    hear(&mut state, 7, due("a", 3));
    hear(&mut state, 7, exited("a", 4, Exit::Asleep));
    assert_eq!(hear(&mut state.clone(), 8, refresh("a")), [start("a", 5)], "an operator wakes it");
    assert_eq!(hear(&mut state.clone(), 8, remove("a")), [forget("a")]);
    assert_eq!(hear(&mut state, 8, Event::StopAll), [Action::AllStopped], "nobody is waited for");
    assert_eq!(hear(&mut state, 9, rouse("a")), []);
}

#[test]
fn a_trial_goes_on_after_sleep() {
    let mut state = with_child(Restart::Permanent);
    for generation in 1..=4 {
        hear(&mut state, 1, exited("a", generation, failed()));
        hear(&mut state, 1, due("a", generation));
    }
    hear(&mut state, 2, started("a", 5));
    hear(&mut state, 3, exited("a", 5, Exit::Asleep));
    hear(&mut state, 4, rouse("a"));
    assert_eq!(hear(&mut state, 5, exited("a", 6, failed())), [park("a", failed()), retry("a", 6)]);
}
