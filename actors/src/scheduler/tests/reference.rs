//! A second way to find out when a cron expression fires, of which nothing is shared with the first: every minute of a year is
//! looked at, by another library's reading of the time zones (`chrono-tz`), with fields that are read here. The rule of
//! daylight saving is written out as people speak of it.

use std::{collections::BTreeSet, sync::LazyLock};

use chrono::{DateTime, Datelike, MappedLocalTime, NaiveDateTime, TimeDelta, TimeZone, Timelike};
use chrono_tz::Tz;
use jiff::Timestamp;
use proptest::prelude::*;

use super::kit::cron;

/// The fields of an expression without marks: minute, hour, day, month, weekday (0 is Sunday).
struct Fields {
    /// Each as bits: there are many minutes in a year.
    sets: [u64; 5],
    any: [bool; 5],
    /// One time of day, and nothing that repeats within it.
    fixed: bool,
}

impl Fields {
    fn read(expression: &str) -> Self {
        let bounds = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];
        let parts: [&str; 5] = expression.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let sets = std::array::from_fn(|field| set(parts[field], bounds[field]));
        let fixed = sets[..2].iter().all(|set: &u64| set.count_ones() == 1);
        Self { any: parts.map(|part| part == "*"), sets, fixed }
    }

    fn matches(&self, local: NaiveDateTime) -> bool {
        let has = |field: usize, value: u32| (self.sets[field] >> value) & 1 == 1;
        let (day, weekday) = (has(2, local.day()), has(4, local.weekday().num_days_from_sunday()));
        // As in every cron: where both are restricted, either will do.
        let date = if self.any[2] || self.any[4] { day && weekday } else { day || weekday };
        has(0, local.minute()) && has(1, local.hour()) && has(3, local.month()) && date
    }
}

fn set(part: &str, (least, most): (u32, u32)) -> u64 {
    let item = |item: &str| {
        let (range, step) = item.split_once('/').map_or((item, 1), |(range, step)| (range, step.parse().unwrap()));
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((first, last)) => (first.parse().unwrap(), last.parse().unwrap()),
            None => (range.parse().unwrap(), range.parse().unwrap()),
        };
        (first..=last).step_by(step)
    };
    part.split(',').flat_map(item).fold(0, |set, value| set | 1 << value)
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

type Zones = Vec<(&'static str, Vec<Minute>)>;

static THIS_YEAR: LazyLock<Zones> = LazyLock::new(|| of_all_zones(2026));

fn of_all_zones(year: i32) -> Zones {
    ZONES.map(|(name, zone)| (name, minutes(zone, year))).into()
}

fn agrees(zones: &Zones, year: i32) {
    for (name, minutes) in zones {
        for expression in EXPRESSIONS {
            let (expected, found) = (by_the_minute(expression, minutes), by_the_timetable(expression, name, year));
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
    agrees(&THIS_YEAR, 2026);
}

#[test]
fn a_leap_year_has_them_too() {
    agrees(&of_all_zones(2028), 2028);
}

/// The three days round each night in which clocks change, of each zone.
fn nights(year: &[Minute]) -> Vec<&[Minute]> {
    let changes =
        year.windows(2).enumerate().filter(|(_, pair)| pair[1].local - pair[0].local != TimeDelta::minutes(1));
    changes.map(|(at, _)| &year[at.saturating_sub(2160)..(at + 2160).min(year.len())]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever the expression, in the nights in which it is hard.
    #[test]
    fn any_expression_agrees_in_the_nights_in_which_clocks_change(
        minute in prop::sample::select(vec!["*", "0", "15", "30", "45", "*/15", "*/30", "0,30", "10-20/5", "59"]),
        hour in prop::sample::select(vec!["*", "0", "1", "2", "3", "*/2", "1-3", "2,4", "23"]),
        day in prop::sample::select(vec!["*", "*", "1", "1-7", "25-31", "*/2"]),
        month in prop::sample::select(vec!["*", "*", "3", "4,10", "11"]),
        weekday in prop::sample::select(vec!["*", "*", "0", "1-5", "6"]),
    ) {
        let expression = [minute, hour, day, month, weekday].join(" ");
        for (name, year) in &*THIS_YEAR {
            let times = cron(&expression, name);
            let nights = nights(year);
            prop_assert_eq!(nights.len(), 2);
            for night in nights {
                let expected: Vec<i64> = by_the_minute(&expression, night).into_iter().collect();
                let begin = Timestamp::from_second(night[0].at - 1).unwrap();
                let all = std::iter::successors(times.next(begin, begin), |at| times.next(begin, *at));
                let found: Vec<i64> =
                    all.map(|at| at.as_second()).take_while(|at| *at <= night[night.len() - 1].at).collect();
                prop_assert_eq!(found, expected, "{} in {}", expression, name);
            }
        }
    }
}
