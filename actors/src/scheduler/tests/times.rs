//! Expressions and intervals.

use greenroom_contract::AgentId;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::kit::{agent, at, cron, schedule};
use crate::scheduler::timetable::Timetable;

fn next(expression: &str, zone: &str, after: &str) -> String {
    let found = cron(expression, zone).next(Timestamp::UNIX_EPOCH, at(after));
    found.map(|time| time.to_string()).unwrap_or_default()
}

// R3.1
#[test]
fn cron_expressions_of_five_and_six_fields_are_read_in_their_zone() {
    let cases = [
        ("0 9 * * MON-FRI", "Europe/London", "2026-11-27T09:00:00Z", "2026-11-30T09:00:00Z"),
        ("0 9 * * MON-FRI", "Europe/London", "2026-07-03T08:00:00Z", "2026-07-06T08:00:00Z"),
        ("30 0 9 * * mon", "UTC", "2026-11-26T00:00:00Z", "2026-11-30T09:00:30Z"),
        ("*/10 * * * * *", "UTC", "2026-11-26T00:00:00.5Z", "2026-11-26T00:00:10Z"),
        ("0 12 L * *", "UTC", "2026-02-01T00:00:00Z", "2026-02-28T12:00:00Z"),
        ("0 12 15W * *", "UTC", "2026-11-01T00:00:00Z", "2026-11-16T12:00:00Z"),
        ("0 12 LW * *", "UTC", "2026-05-01T00:00:00Z", "2026-05-29T12:00:00Z"),
        ("0 12 * * 5L", "UTC", "2026-11-01T00:00:00Z", "2026-11-27T12:00:00Z"),
        ("0 12 * * MON#2", "UTC", "2026-11-01T00:00:00Z", "2026-11-09T12:00:00Z"),
        ("0 0 29 2 *", "UTC", "2026-11-26T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 1,15 * ?", "UTC", "2026-11-26T00:00:00Z", "2026-12-01T00:00:00Z"),
        ("5/10 8-18 * JAN-MAR 0,7", "UTC", "2026-11-26T00:00:00Z", "2027-01-03T08:05:00Z"),
    ];
    for (expression, zone, after, expected) in cases {
        assert_eq!(next(expression, zone, after), expected, "{expression} in {zone} after {after}");
    }
}

fn every(name: &AgentId, every: &str) -> Timetable {
    Timetable::new(name, &schedule(json!({ "every": every }))).unwrap()
}

// R3.1
#[test]
fn an_interval_counts_from_its_anchor_whatever_comes_between() {
    let (a, anchor) = (agent("a"), at("2026-11-26T10:00:00Z"));
    let times = every(&a, "15m");
    let first = times.next(anchor, anchor).unwrap();
    let quarter = SignedDuration::from_mins(15);
    let shift = first - quarter - anchor;
    assert!(shift.get_milliseconds() >= 0 && SignedDuration::try_from(shift).unwrap() < SignedDuration::from_mins(1));
    // Whenever it is asked, the times are the same.
    let asked = [anchor - quarter, first - SignedDuration::from_millis(1)];
    assert!(asked.iter().all(|after| times.next(anchor, *after) == Some(first)));
    assert_eq!(times.next(anchor, first), Some(first + quarter));
    assert_eq!(times.next(anchor, first + quarter * 1000 + quarter / 3), Some(first + quarter * 1001));
    assert_eq!(times.upcoming(anchor, anchor, 3), [first, first + quarter, first + quarter * 2]);
}

#[test]
fn agents_of_one_interval_are_spread_by_their_names() {
    let anchor = at("2026-11-26T10:00:00Z");
    let first = |n: u32, text: &str| every(&agent(&format!("agent-{n}")), text).next(anchor, anchor).unwrap();
    let firsts: std::collections::BTreeSet<_> = (0..100).map(|n| first(n, "1h")).collect();
    assert!(firsts.len() > 95, "{} of 100 fire at a moment of their own", firsts.len());
    let last = *firsts.last().unwrap() - SignedDuration::from_hours(1) - anchor;
    assert!(SignedDuration::try_from(last).unwrap() < SignedDuration::from_mins(1));
    let late = (0..100).map(|n| first(n, "1s")).max().unwrap();
    assert!(late < anchor + SignedDuration::from_millis(1100), "at most a tenth of the interval");
    assert_eq!(first(7, "1h"), first(7, "1h"), "by the name, and by nothing else");
}

#[test]
fn a_digest_names_the_times_and_nothing_else() {
    let digest = |json| Timetable::new(&agent("a"), &schedule(json)).unwrap().digest().to_owned();
    let nine = digest(json!({ "cron": "0 9 * * *" }));
    assert_eq!(nine, digest(json!({ "cron": "0 9 * * *", "input": "hello", "overlap": "allow", "missed": "all" })));
    assert_ne!(nine, digest(json!({ "cron": "0 9 * * *", "timezone": "Europe/London" })));
    assert_ne!(nine, digest(json!({ "every": "24h" })));
    assert_eq!(digest(json!({ "every": "60s" })), digest(json!({ "every": "1m" })));
}
