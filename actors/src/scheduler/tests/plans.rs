//! What follows when a time is due: policies.

use greenroom_contract::port::state::{IfBusy, MOST_WAITING};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use super::kit::{at, cron, schedule};
use crate::scheduler::step::{Due, Plan, plan};

const NINE: &str = "2026-11-26T09:00:00Z";

/// What follows of an hourly schedule that was due at nine.
fn hourly(missed: &str, overlap: &str, now: &str) -> Plan {
    let policies = schedule(json!({ "cron": "0 * * * *", "missed": missed, "overlap": overlap }));
    plan(&cron("0 * * * *", "UTC"), &policies, at(NINE), at(NINE), at(now))
}

fn due(time: &str, stands_for: u32, if_busy: IfBusy) -> Due {
    Due { due_at: at(time), stands_for, if_busy }
}

// R3.6
#[test]
fn on_time_it_fires_whatever_the_policy() {
    for missed in ["skip", "once", "all"] {
        for now in [NINE, "2026-11-26T09:00:15Z"] {
            let planned = hourly(missed, "skip", now);
            assert_eq!(planned.firings, [due(NINE, 1, IfBusy::Skip)], "{missed} at {now}");
            assert_eq!((planned.missed, planned.next_at), (None, Some(at("2026-11-26T10:00:00Z"))));
        }
    }
    assert_eq!(hourly("once", "allow", NINE).firings[0].if_busy, IfBusy::Fire);
    assert_eq!(hourly("once", "queue", NINE).firings[0].if_busy, IfBusy::Wait);
}

// R3.6
#[test]
fn missed_firings_follow_their_policy() {
    let late = "2026-11-26T11:30:00Z";
    let skip = hourly("skip", "skip", late);
    assert_eq!((skip.firings.len(), skip.missed), (0, Some(due("2026-11-26T11:00:00Z", 3, IfBusy::Skip))));
    let once = hourly("once", "skip", late);
    assert_eq!((once.firings, once.missed), (vec![due("2026-11-26T11:00:00Z", 3, IfBusy::Skip)], None));
    let all = hourly("all", "allow", late);
    let times = ["2026-11-26T09:00:00Z", "2026-11-26T10:00:00Z", "2026-11-26T11:00:00Z"];
    assert_eq!((all.firings, all.missed), (times.map(|time| due(time, 1, IfBusy::Fire)).into(), None));
    assert_eq!(
        hourly("all", "skip", late).firings[0].if_busy,
        IfBusy::Wait,
        "else only the first would be made up for"
    );
    for policy in ["skip", "once", "all"] {
        assert_eq!(hourly(policy, "skip", late).next_at, Some(at("2026-11-26T12:00:00Z")));
    }
}

#[test]
fn who_comes_back_just_in_time_fires_for_now_and_decides_about_the_rest() {
    let now = "2026-11-26T11:00:05Z";
    let skip = hourly("skip", "skip", now);
    assert_eq!(skip.firings, [due("2026-11-26T11:00:00Z", 1, IfBusy::Skip)]);
    assert_eq!(skip.missed, Some(due("2026-11-26T10:00:00Z", 2, IfBusy::Skip)));
    assert_eq!(hourly("once", "skip", now).firings, [due("2026-11-26T11:00:00Z", 3, IfBusy::Skip)]);
    assert_eq!(hourly("all", "skip", now).firings.len(), 3);
}

#[test]
fn all_is_bounded_and_the_newest_count() {
    let now = at(NINE) + SignedDuration::from_hours(24 * 365) + SignedDuration::from_mins(30);
    for (expression, each) in [("0 * * * *", 3600), ("* * * * * *", 1)] {
        let policies = schedule(json!({ "cron": expression, "missed": "all" }));
        let planned = plan(&cron(expression, "UTC"), &policies, at(NINE), at(NINE), now);
        let (times, count) = (planned.firings.iter().map(|due| due.due_at), planned.firings.len() as u32);
        assert!((MOST_WAITING..=MOST_WAITING + 1).contains(&count), "{count} of {expression}");
        let newest = planned.firings.last().unwrap().due_at;
        assert!(now.duration_since(newest) < SignedDuration::from_secs(each), "{expression}: {newest}");
        assert!(times.is_sorted());
        let missed = planned.missed.unwrap();
        assert!(missed.due_at < planned.firings[0].due_at && missed.stands_for > 100);
        assert!(planned.next_at.is_some_and(|next| next > now));
    }
}

proptest! {
    /// Whatever was missed, and whenever: nothing is planned twice, the next time is the first that is not over, and
    /// what is planned stands for exactly what has passed.
    #[test]
    fn every_time_is_accounted_for_once(
        late in 0_i64..400_000,
        missed in prop::sample::select(vec!["skip", "once", "all"]),
        overlap in prop::sample::select(vec!["allow", "skip", "queue"]),
    ) {
        let policies = schedule(json!({ "cron": "*/20 * * * *", "missed": missed, "overlap": overlap }));
        let (times, now) = (cron("*/20 * * * *", "UTC"), at(NINE) + SignedDuration::from_secs(late));
        let planned = plan(&times, &policies, at(NINE), at(NINE), now);
        let passed: Vec<Timestamp> = std::iter::successors(Some(at(NINE)), |time| times.next(at(NINE), *time))
            .take_while(|time| *time <= now)
            .collect();
        let stands_for: u32 = planned.firings.iter().chain(&planned.missed).map(|due| due.stands_for).sum();
        prop_assert_eq!(stands_for as usize, passed.len());
        prop_assert_eq!(planned.next_at, times.next(at(NINE), now));
        let fired: Vec<Timestamp> = planned.firings.iter().map(|due| due.due_at).collect();
        prop_assert!(fired.is_sorted_by(|a, b| a < b) && fired.iter().all(|time| passed.contains(time)));
        // A node that plans the same a moment later, before its next time, plans the same.
        prop_assert!(missed != "all" || fired.len() == passed.len().min(101) || fired.len() == passed.len().min(100));
    }
}
