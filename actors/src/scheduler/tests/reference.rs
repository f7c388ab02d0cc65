//! A second way to find out when a cron expression fires, of which nothing is shared with the first: every minute of a year is
//! looked at, by another library's reading of the time zones (`chrono-tz`), with fields that are read here. The rule of
//! daylight saving is written out as people speak of it.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, MappedLocalTime, NaiveDateTime, TimeDelta, TimeZone, Timelike};
use chrono_tz::Tz;
use jiff::Timestamp;

use super::kit::cron;

/// The fields of an expression without marks: minute, hour, day, month, weekday (0 is Sunday).
struct Fields {
    sets: Vec<BTreeSet<u32>>,
    any: Vec<bool>,
    /// One time of day, and nothing that repeats within it.
    fixed: bool,
}

impl Fields {
    fn read(expression: &str) -> Self {
        let bounds = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];
        let parts: Vec<&str> = expression.split(' ').collect();
        let sets: Vec<_> = parts.iter().zip(bounds).map(|(part, bounds)| set(part, bounds)).collect();
        let fixed = sets[0].len() == 1 && sets[1].len() == 1;
        Self { any: parts.iter().map(|part| *part == "*").collect(), sets, fixed }
    }

    fn matches(&self, local: NaiveDateTime) -> bool {
        let has = |field: usize, value: u32| self.sets[field].contains(&value);
        let (day, weekday) = (has(2, local.day()), has(4, local.weekday().num_days_from_sunday()));
        // As in every cron: where both are restricted, either will do.
        let date = if self.any[2] || self.any[4] { day && weekday } else { day || weekday };
        has(0, local.minute()) && has(1, local.hour()) && has(3, local.month()) && date
    }
}

fn set(part: &str, (least, most): (u32, u32)) -> BTreeSet<u32> {
    let item = |item: &str| {
        let (range, step) = item.split_once('/').map_or((item, 1), |(range, step)| (range, step.parse().unwrap()));
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((first, last)) => (first.parse().unwrap(), last.parse().unwrap()),
            None => (range.parse().unwrap(), range.parse().unwrap()),
        };
        (first..=last).step_by(step)
    };
    part.split(',').flat_map(item).collect()
}

/// A minute of the year as a zone shows it.
struct Minute {
    at: i64,
    local: NaiveDateTime,
    /// Whether the clock has shown this time of day before: it was put back.
    again: bool,
    /// Times of day that the clock passed over to come here: it was put forward.
    skipped: Vec<NaiveDateTime>,
}

fn minutes(zone: Tz, year: i32) -> Vec<Minute> {
    let begin = chrono::Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap();
    let end = chrono::Utc.with_ymd_and_hms(year + 1, 1, 1, 0, 0, 0).unwrap();
    let minute = TimeDelta::minutes(1);
    let mut before = (begin - minute).with_timezone(&zone).naive_local();
    let mut all = Vec::new();
    let mut now = begin;
    while now < end {
        let shown: DateTime<Tz> = now.with_timezone(&zone);
        let local = shown.naive_local();
        let again = match zone.from_local_datetime(&local) {
            MappedLocalTime::Ambiguous(first, _) => shown > first,
            _ => false,
        };
        let mut skipped = Vec::new();
        let mut passed_over = before + minute;
        while passed_over < local {
            skipped.push(passed_over);
            passed_over += minute;
        }
        all.push(Minute { at: now.timestamp(), local, again, skipped });
        before = local;
        now += minute;
    }
    all
}

/// Every firing of a year, as seconds since the epoch.
fn by_the_minute(expression: &str, year: &[Minute]) -> BTreeSet<i64> {
    let fields = Fields::read(expression);
    let fires = |minute: &&Minute| {
        // What is due at one time of day is due once a day: not again, and at the end of the gap if the clock did not show it.
        let shown = fields.matches(minute.local) && !(minute.again && fields.fixed);
        shown || (fields.fixed && minute.skipped.iter().any(|skipped| fields.matches(*skipped)))
    };
    year.iter().filter(fires).map(|minute| minute.at).collect()
}

/// Every firing of a year by the timetable, each found from the one before.
fn by_the_timetable(expression: &str, zone: &str, year: i32) -> Vec<i64> {
    let times = cron(expression, zone);
    let begin: Timestamp = format!("{year}-01-01T00:00:00Z").parse().unwrap();
    let end: Timestamp = format!("{}-01-01T00:00:00Z", year + 1).parse().unwrap();
    let first = times.next(begin, begin - jiff::SignedDuration::from_secs(1));
    let all = std::iter::successors(first, |at| times.next(begin, *at));
    all.take_while(|at| *at < end).map(|at| at.as_second()).collect()
}

const EXPRESSIONS: [&str; 14] = [
    "0 9 * * 1-5",
    "30 2 * * *",
    "0 2 * * *",
    "15 2 * * 0",
    "30 1 * * *",
    "0 1 * * 0",
    "45 1 1-7 * *",
    "*/30 * * * *",
    "0 * * * *",
    "*/15 1-3 * * *",
    "10,40 2 * * *",
    "0 */2 * * *",
    "0 0 1,15 * 1",
    "59 23 31 12 *",
];

/// The three zones: clocks change at 2 in the night, at 1 UTC, and by half an hour.
const ZONES: [(&str, Tz); 3] = [
    ("America/New_York", Tz::America__New_York),
    ("Europe/London", Tz::Europe__London),
    ("Australia/Lord_Howe", Tz::Australia__Lord_Howe),
];

fn agrees(year: i32) {
    for (name, zone) in ZONES {
        let minutes = minutes(zone, year);
        for expression in EXPRESSIONS {
            let (expected, found) = (by_the_minute(expression, &minutes), by_the_timetable(expression, name, year));
            assert!(found.is_sorted_by(|a, b| a < b), "{expression} in {name}: {found:?}");
            let found: BTreeSet<i64> = found.into_iter().collect();
            let show = |seconds: &i64| Timestamp::from_second(*seconds).unwrap().in_tz(name).unwrap().to_string();
            let missing: Vec<_> = expected.difference(&found).map(show).collect();
            let extra: Vec<_> = found.difference(&expected).map(show).collect();
            assert!(
                missing.is_empty() && extra.is_empty(),
                "{expression} in {name}: dropped {missing:?}, made up {extra:?}"
            );
        }
    }
}

// R3.6
#[test]
fn a_year_in_three_zones_has_exactly_the_firings_of_the_reference() {
    agrees(2026);
}

#[test]
fn a_leap_year_has_them_too() {
    agrees(2028);
}
