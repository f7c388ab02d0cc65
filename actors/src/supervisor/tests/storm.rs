//! The storm breaker: when it opens, whom it holds, and how it closes.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use crate::supervisor::{Breaker, StormRules, Verdict};

const DOWN: &str = "provider_unavailable openai";

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Ten members, of which the first three have failed of the same cause in this moment.
fn stormy(now: Instant) -> Breaker {
    let breaker = Breaker::default();
    for n in 0..10 {
        breaker.joined(&format!("m{n}"));
    }
    assert_eq!(breaker.failed("m0", DOWN, now), Verdict::Go);
    assert_eq!(breaker.failed("m1", DOWN, now), Verdict::Go);
    let Verdict::Paused(pause) = breaker.failed("m2", DOWN, now) else { panic!("three of ten are a storm") };
    assert_eq!((pause.cause.as_str(), pause.until, pause.held, pause.news), (DOWN, now + secs(30), 3, true));
    breaker
}

#[test]
fn few_scattered_or_old_failures_are_no_storm() {
    let start = Instant::now();
    let small = Breaker::default();
    small.joined("c");
    assert_eq!(small.failed("a", DOWN, start), Verdict::Go);
    assert_eq!(small.failed("b", DOWN, start), Verdict::Go, "two of three are too few");

    let large = Breaker::default();
    for n in 0..11 {
        large.joined(&format!("m{n}"));
    }
    for n in 0..3 {
        assert_eq!(large.failed(&format!("m{n}"), DOWN, start), Verdict::Go, "3 of 11 are less than 30 %");
    }

    let mixed = Breaker::default();
    for (n, cause) in ["a", "b", "c", "a", "b"].into_iter().enumerate() {
        assert_eq!(mixed.failed(&format!("m{n}"), cause, start), Verdict::Go, "causes are counted apart");
    }

    let slow = Breaker::default();
    for n in 0..10 {
        assert_eq!(slow.failed(&format!("m{n}"), DOWN, start + secs(30 * n)), Verdict::Go, "two within each minute");
    }

    let one = Breaker::default();
    for _ in 0..10 {
        assert_eq!(one.failed("m", DOWN, start), Verdict::Go, "one member's failures are its own");
    }

    let well = Breaker::default();
    for n in 0..10 {
        assert_eq!(well.failed(&format!("m{n}"), DOWN, start), Verdict::Go);
        assert_eq!(well.succeeded(&format!("m{n}"), start), Verdict::Go, "who got on since does not count");
    }
}

#[test]
fn only_those_that_suffer_are_held() {
    let start = Instant::now();
    let breaker = stormy(start);
    assert!(breaker.paused("m0", start).is_some_and(|pause| pause.cause == DOWN && !pause.news));
    assert_eq!(breaker.admit("m7", start), Verdict::Go, "it works with somebody else");
    let Verdict::Paused(pause) = breaker.failed("m7", DOWN, start + secs(1)) else { panic!("now it suffers too") };
    assert_eq!((pause.until, pause.held, pause.news), (start + secs(30), 4, false));
    assert_eq!(breaker.failed("m8", "other", start), Verdict::Go);
}

#[test]
fn one_probes_and_its_success_lets_all_go() {
    let start = Instant::now();
    let breaker = stormy(start);
    let mut changes = breaker.changes();
    assert!(matches!(breaker.admit("m0", start + secs(29)), Verdict::Paused(_)));
    let then = start + secs(30);
    assert_eq!(breaker.paused("m0", then), None, "its turn may come");
    assert_eq!(breaker.admit("m0", then), Verdict::Probe { cause: DOWN.into() });
    let Verdict::Paused(wait) = breaker.admit("m1", then) else { panic!("one at a time") };
    assert_eq!(wait.until, then + secs(30));
    assert!(matches!(breaker.succeeded("m1", then), Verdict::Paused(_)), "what was under way proves nothing");
    assert_eq!(breaker.succeeded("m0", then + secs(2)), Verdict::Resumed { cause: DOWN.into() });
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    for n in 0..3 {
        assert_eq!(breaker.admit(&format!("m{n}"), then + secs(2)), Verdict::Go);
    }
    assert_eq!(breaker.failed("m1", DOWN, then + secs(3)), Verdict::Go, "the count begins anew");
}

#[test]
fn a_failed_probe_doubles_the_pause_up_to_its_bound() {
    let start = Instant::now();
    let breaker = stormy(start);
    let mut now = start + secs(30);
    for expected in [60, 120, 240, 480, 600, 600] {
        assert!(matches!(breaker.admit("m1", now), Verdict::Probe { .. }));
        let Verdict::Paused(pause) = breaker.failed("m1", DOWN, now) else { panic!("it failed") };
        assert_eq!((pause.until, pause.news), (now + secs(expected), true));
        assert!(matches!(breaker.failed("m2", DOWN, now), Verdict::Paused(p) if p.until == pause.until && !p.news));
        now = pause.until;
    }
}

#[test]
fn a_probe_that_is_silent_leaves_or_fails_otherwise_gives_its_turn_away() {
    let start = Instant::now();
    let then = start + secs(30);
    let silent = stormy(start);
    silent.admit("m0", then);
    assert!(matches!(silent.admit("m1", then + secs(29)), Verdict::Paused(_)));
    assert!(matches!(silent.admit("m1", then + secs(30)), Verdict::Probe { .. }));

    let gone = stormy(start);
    gone.admit("m0", then);
    let changes = gone.changes();
    gone.left("m0");
    assert!(changes.has_changed().unwrap());
    assert!(matches!(gone.admit("m1", then), Verdict::Probe { .. }));
    gone.left("m1");
    gone.left("m2");
    assert_eq!(gone.failed("m3", DOWN, then), Verdict::Go, "a pause that holds nobody is over");

    let other = stormy(start);
    other.admit("m0", then);
    assert!(matches!(other.failed("m0", "panicked", then), Verdict::Go));
    assert!(matches!(other.admit("m1", then), Verdict::Probe { .. }));
}

#[test]
fn two_causes_hold_a_member_until_both_are_gone() {
    let start = Instant::now();
    let breaker = stormy(start);
    for n in [3, 4, 0] {
        breaker.failed(&format!("m{n}"), "unauthorized tools", start + secs(10));
    }
    assert!(breaker.paused("m0", start + secs(35)).is_some_and(|pause| pause.cause == "unauthorized tools"));
    assert!(matches!(breaker.admit("m1", start + secs(35)), Verdict::Probe { cause } if cause == DOWN));
    breaker.succeeded("m1", start + secs(36));
    assert!(breaker.paused("m0", start + secs(36)).is_some());
    assert!(matches!(breaker.admit("m0", start + secs(40)), Verdict::Probe { cause } if cause == "unauthorized tools"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is reported: a pause is at most the longest away, one member probes at a time, a member that never failed
    /// is never held, and a probe is offered to whoever asks first once the pause is over.
    #[test]
    fn it_holds_only_the_guilty_and_never_for_ever(
        deeds in prop::collection::vec((0_u8..6, 0_usize..6, 0_usize..2, 0_u64..40), 0..80),
    ) {
        let rules = StormRules::default();
        let breaker = Breaker::new(rules.clone());
        let mut now = Instant::now();
        let mut failed = [false; 6];
        let mut probing: Vec<(usize, Instant)> = Vec::new();
        breaker.joined("bystander");
        for (deed, member, cause, pause) in deeds {
            now += secs(pause);
            let name = format!("m{member}");
            let verdict = match deed {
                0 => { breaker.joined(&name); Verdict::Go }
                1 => { breaker.left(&name); probing.retain(|(who, _)| *who != member); Verdict::Go }
                2 | 3 => {
                    failed[member] = true;
                    probing.retain(|(who, _)| *who != member);
                    breaker.failed(&name, ["x", "y"][cause], now)
                }
                4 => { probing.retain(|(who, _)| *who != member); breaker.succeeded(&name, now) }
                _ => breaker.admit(&name, now),
            };
            match verdict {
                Verdict::Paused(pause) => {
                    prop_assert!(failed[member], "{} is held and never failed", name);
                    prop_assert!(pause.until <= now + rules.longest);
                }
                Verdict::Probe { .. } => {
                    probing.retain(|(who, until)| *who != member && now < *until);
                    // Two causes may each have their probe.
                    prop_assert!(probing.len() < 2, "{:?} probe at once", probing);
                    probing.push((member, now + rules.pause));
                }
                Verdict::Go | Verdict::Resumed { .. } => {}
            }
            prop_assert_eq!(breaker.admit("bystander", now), Verdict::Go);
        }
        now += rules.longest;
        for member in 0..6 {
            let name = format!("m{member}");
            prop_assert_eq!(breaker.paused(&name, now), None, "after the longest pause anybody may probe");
        }
    }
}
