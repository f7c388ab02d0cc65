//! The nights in which clocks change, hour by hour.

use super::kit::{at, cron};

/// The firings of a day and night, in the zone's own words.
fn night(expression: &str, zone: &str, from: &str, to: &str) -> Vec<String> {
    let (times, to) = (cron(expression, zone), at(to));
    let all = std::iter::successors(times.next(at(from), at(from)), |time| times.next(at(from), *time));
    all.take_while(|time| *time < to)
        .map(|time| time.in_tz(zone).unwrap().strftime("%d %H:%M %Z").to_string())
        .collect()
}

// R3.6
#[test]
fn what_falls_into_the_gap_fires_at_its_end_and_once() {
    let spring = |expression| night(expression, "America/New_York", "2026-03-07T12:00:00Z", "2026-03-09T12:00:00Z");
    assert_eq!(spring("30 2 * * *"), ["08 03:00 EDT", "09 02:30 EDT"]);
    assert_eq!(spring("0 3 * * *"), ["08 03:00 EDT", "09 03:00 EDT"]);
    assert_eq!(spring("0 9 * * *"), ["07 09:00 EST", "08 09:00 EDT"]);
    let half = night("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", "2026-10-05T00:00:00Z");
    assert_eq!(half, ["04 02:30 +11", "05 02:15 +11"]);
}

// R3.6
#[test]
fn what_falls_into_the_hour_that_comes_twice_fires_in_the_first_of_them() {
    let autumn = |expression| night(expression, "America/New_York", "2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z");
    assert_eq!(autumn("30 1 * * *"), ["01 01:30 EDT", "02 01:30 EST"]);
    let london = night("0 1 * * *", "Europe/London", "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z");
    assert_eq!(london, ["25 01:00 BST", "26 01:00 GMT"]);
    let half = night("45 1 * * *", "Australia/Lord_Howe", "2026-04-03T20:00:00Z", "2026-04-05T20:00:00Z");
    assert_eq!(half, ["05 01:45 +11", "06 01:45 +1030"]);
}

#[test]
fn what_repeats_within_the_day_goes_on_as_time_passes() {
    let autumn = night("*/30 1-2 * * *", "America/New_York", "2026-11-01T04:00:00Z", "2026-11-01T09:00:00Z");
    let expected = ["01 01:00 EDT", "01 01:30 EDT", "01 01:00 EST", "01 01:30 EST", "01 02:00 EST", "01 02:30 EST"];
    assert_eq!(autumn, expected);
    let spring = night("*/30 1-3 * * *", "America/New_York", "2026-03-08T05:00:00Z", "2026-03-08T09:00:00Z");
    assert_eq!(spring, ["08 01:00 EST", "08 01:30 EST", "08 03:00 EDT", "08 03:30 EDT"]);
}
