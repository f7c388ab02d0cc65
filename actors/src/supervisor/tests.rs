//! The core's rules, one by one, and its invariants under random histories.

use std::time::Duration;

use greenroom_contract::execution::Failure;
use proptest::prelude::*;

use super::{
    policy::{Exit, Policy, Restart},
    step::{Action, Event, State, step},
};

fn policy(restart: Restart) -> Policy {
    Policy {
        restart,
        max_restarts: 3,
        window: Duration::from_secs(600),
        backoff_min: Duration::from_secs(1),
        backoff_max: Duration::from_secs(60),
        stable_after: Duration::from_secs(300),
        shutdown: Duration::from_secs(5),
    }
}

fn failed() -> Exit {
    Exit::Failed(Failure::new("boom", "boom"))
}

fn exited(generation: u32, exit: Exit) -> Event {
    Event::Exited { child: "a".into(), generation, exit }
}

fn at(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn with_child(restart: Restart) -> State {
    let mut state = State::default();
    step(&mut state, Event::Add { child: "a".into(), policy: policy(restart) }, at(0), 0.0);
    step(&mut state, Event::Started { child: "a".into(), generation: 1 }, at(0), 0.0);
    state
}

#[test]
fn the_restart_types_are_those_of_otp() {
    let killed = Exit::Killed(Failure::new("killed", "killed"));
    for (restart, exit, again) in [
        (Restart::Permanent, Exit::Normal, true),
        (Restart::Permanent, failed(), true),
        (Restart::Transient, Exit::Normal, false),
        (Restart::Transient, killed.clone(), true),
        (Restart::Temporary, killed, false),
    ] {
        let mut state = with_child(restart);
        let actions = step(&mut state, exited(1, exit.clone()), at(1), 0.0);
        assert_eq!(matches!(actions[..], [Action::Wake { .. }]), again, "{restart:?} after {exit:?}");
        assert_eq!(matches!(actions[..], [Action::Forget { .. }]), !again);
    }
}

#[test]
fn the_budget_parks_and_an_operator_starts_afresh() {
    let mut state = with_child(Restart::Permanent);
    for generation in 1..=3 {
        let actions = step(&mut state, exited(generation, failed()), at(u64::from(generation)), 0.0);
        assert!(matches!(actions[..], [Action::Wake { .. }]), "restart {generation} is within the budget");
        step(&mut state, Event::Due { child: "a".into(), generation }, at(10), 0.0);
    }
    let actions = step(&mut state, exited(4, failed()), at(20), 0.0);
    assert!(matches!(&actions[..], [Action::Park { exit, .. }] if *exit == failed()));
    let actions = step(&mut state, Event::Refresh { child: "a".into() }, at(30), 0.0);
    assert_eq!(actions, [Action::Start { child: "a".into(), generation: 5 }]);
    assert_eq!(state.restarts_in_window("a", at(30)), 0);
}

#[test]
fn the_window_slides_and_stability_resets_the_backoff() {
    let mut state = with_child(Restart::Permanent);
    step(&mut state, exited(1, failed()), at(1), 0.0);
    step(&mut state, Event::Due { child: "a".into(), generation: 1 }, at(2), 0.0);
    step(&mut state, Event::Started { child: "a".into(), generation: 2 }, at(2), 0.0);
    let soon = step(&mut state.clone(), exited(2, failed()), at(100), 0.0);
    assert!(matches!(soon[..], [Action::Wake { after, .. }] if after == at(2)), "the second wait is doubled");
    let late = step(&mut state, exited(2, failed()), at(700), 0.0);
    assert!(matches!(late[..], [Action::Wake { after, .. }] if after == at(1)), "it had been stable");
    assert_eq!(state.restarts_in_window("a", at(700)), 1, "the first restart has left the window");
}

#[test]
fn removal_during_backoff_never_returns() {
    let mut state = with_child(Restart::Permanent);
    step(&mut state, exited(1, failed()), at(1), 0.0);
    assert_eq!(
        step(&mut state, Event::Remove { child: "a".into() }, at(1), 0.0),
        [Action::Forget { child: "a".into() }]
    );
    assert_eq!(step(&mut state, Event::Due { child: "a".into(), generation: 1 }, at(2), 0.0), []);
}

#[test]
fn all_stop_in_reverse_order_and_late_news_is_ignored() {
    let mut state = with_child(Restart::Permanent);
    step(&mut state, Event::Add { child: "b".into(), policy: policy(Restart::Permanent) }, at(0), 0.0);
    let first = step(&mut state, Event::StopAll, at(1), 0.0);
    assert!(matches!(&first[..], [Action::Stop { child, .. }] if child == "b"));
    assert_eq!(step(&mut state, exited(7, failed()), at(1), 0.0), [], "an unknown generation changes nothing");
    let second = step(&mut state, Event::Exited { child: "b".into(), generation: 1, exit: Exit::Stopped }, at(1), 0.0);
    assert!(second.iter().any(|a| matches!(a, Action::Stop { child, .. } if child == "a")), "{second:?}");
    let last = step(&mut state, exited(1, Exit::Stopped), at(1), 0.0);
    assert!(last.contains(&Action::AllStopped));
}

fn any_event() -> impl Strategy<Value = Event> {
    let child = prop::sample::select(vec!["a", "b"]).prop_map(String::from);
    let exit = prop::sample::select(vec![
        Exit::Normal,
        Exit::Stopped,
        failed(),
        Exit::Panicked(Failure::new("panicked", "p")),
        Exit::Killed(Failure::new("killed", "k")),
        Exit::StartFailed(Failure::new("start", "s")),
    ]);
    (child, 0_u32..6, exit, 0_u8..7).prop_map(|(child, generation, exit, which)| match which {
        0 => Event::Add { child, policy: policy(Restart::Permanent) },
        1 => Event::Remove { child },
        2 => Event::Started { child, generation },
        3 => Event::Exited { child, generation, exit },
        4 => Event::Due { child, generation },
        5 => Event::Refresh { child },
        _ => Event::Exited { child, generation: generation + 1, exit },
    })
}

proptest! {
    /// Whatever the history: no generation is started twice, none is started while the last one is up, and restarts
    /// within the window never exceed the budget.
    #[test]
    fn invariants_hold_under_any_history(events in prop::collection::vec((any_event(), 0_u64..400), 0..60)) {
        let mut state = State::default();
        let mut now = Duration::ZERO;
        let mut up: std::collections::BTreeMap<String, u32> = std::collections::BTreeMap::new();
        let mut newest: std::collections::BTreeMap<String, u32> = std::collections::BTreeMap::new();
        for (event, pause) in events {
            now += Duration::from_secs(pause);
            if let Event::Exited { child, generation, .. } = &event
                && up.get(child) == Some(generation) {
                up.remove(child);
            }
            for action in step(&mut state, event, now, 0.5) {
                match action {
                    Action::Start { child, generation } => {
                        prop_assert!(!up.contains_key(&child), "{child} started while up");
                        prop_assert!(generation > newest.get(&child).copied().unwrap_or(0), "{child} {generation} again");
                        newest.insert(child.clone(), generation);
                        up.insert(child, generation);
                    }
                    Action::Forget { child } => {
                        newest.remove(&child);
                        up.remove(&child);
                    }
                    _ => {}
                }
            }
            for name in ["a", "b"] {
                prop_assert!(state.restarts_in_window(name, now) <= 3);
            }
        }
    }
}
