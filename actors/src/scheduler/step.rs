//! What follows when a time is due: pure.

use std::{collections::VecDeque, time::Duration};

use greenroom_config::spec::{MissedPolicy, OverlapPolicy, Schedule};
use greenroom_contract::port::state::{IfBusy, MOST_WAITING};
use jiff::Timestamp;

use super::timetable::Timetable;

/// How late a firing may be without counting as missed: a restart takes no longer, nor does another node take over later.
const LATE: Duration = Duration::from_secs(15);
/// How many missed firings are made up for at most, with `missed: all`: the newest. Older ones are only counted.
const MOST_MADE_UP: usize = MOST_WAITING as usize;
/// How many are counted one by one. If more were missed, the rest is passed over in a leap.
const MOST_COUNTED: u32 = 10_000;

/// One firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) due_at: Timestamp,
    /// For how many it stands.
    pub(super) stands_for: u32,
    pub(super) if_busy: IfBusy,
}

/// What is to be done about a time that is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// In order of time.
    pub(super) firings: Vec<Due>,
    /// What is only written down: one that stands for all.
    pub(super) missed: Option<Due>,
    pub(super) next_at: Option<Timestamp>,
}

/// Plans what follows when `due_at` is over by `now`. The same for every node: it depends on nothing else.
pub(super) fn plan(
    times: &Timetable,
    schedule: &Schedule,
    anchor: Timestamp,
    due_at: Timestamp,
    now: Timestamp,
) -> Plan {
    let Passed { mut newest, count, next_at } = passed(times, anchor, due_at, now);
    let last = newest.back().copied().unwrap_or(due_at);
    let on_time = age(last, now) <= LATE;
    if on_time {
        newest.pop_back();
    }
    let missed = count - u32::from(on_time);
    let one = |due_at, stands_for, if_busy| Due { due_at, stands_for, if_busy };
    let on_time = on_time.then_some(last);
    let if_busy = match schedule.overlap {
        OverlapPolicy::Allow => IfBusy::Fire,
        OverlapPolicy::Skip => IfBusy::Skip,
        OverlapPolicy::Queue => IfBusy::Wait,
    };
    let dropped = |at: Option<Timestamp>, count: u32| at.filter(|_| count > 0).map(|at| one(at, count, IfBusy::Skip));
    match (schedule.missed, newest.back().copied().filter(|_| missed > 0)) {
        (_, None) => {
            Plan { firings: on_time.map(|at| one(at, 1, if_busy)).into_iter().collect(), missed: None, next_at }
        }
        (MissedPolicy::Skip, last) => {
            let firings = on_time.map(|at| one(at, 1, if_busy)).into_iter().collect();
            Plan { firings, missed: dropped(last, missed), next_at }
        }
        (MissedPolicy::Once, Some(last)) => {
            let firing = one(on_time.unwrap_or(last), count, if_busy);
            Plan { firings: vec![firing], missed: None, next_at }
        }
        (MissedPolicy::All, _) => {
            // Those that are made up for come one after the other: `skip` would drop all but the first of them.
            let if_busy = if if_busy == IfBusy::Skip { IfBusy::Wait } else { if_busy };
            let over = missed - newest.len() as u32;
            let before = newest.front().copied();
            let firings = newest.into_iter().chain(on_time).map(|at| one(at, 1, if_busy)).collect();
            let missed = before.and_then(|at| dropped(at.checked_sub(Duration::from_millis(1)).ok(), over));
            Plan { firings, missed, next_at }
        }
    }
}

/// The times from `due_at` until now.
struct Passed {
    /// The newest, in order; the one of now may be among them.
    newest: VecDeque<Timestamp>,
    count: u32,
    /// The first one that is not over.
    next_at: Option<Timestamp>,
}

fn passed(times: &Timetable, anchor: Timestamp, due_at: Timestamp, now: Timestamp) -> Passed {
    let mut newest = VecDeque::with_capacity(MOST_MADE_UP + 2);
    let mut count = 0_u32;
    let mut at = Some(due_at);
    while let Some(time) = at.filter(|time| *time <= now) {
        newest.push_back(time);
        if newest.len() > MOST_MADE_UP + 1 {
            newest.pop_front();
        }
        count = count.saturating_add(1);
        let from = if count == MOST_COUNTED { leap(due_at, time, now) } else { time };
        // A timetable that stood still would be asked for ever.
        at = times.next(anchor, from).filter(|next| *next > time);
    }
    Passed { newest, count, next_at: at }
}

/// So many have passed that counting them takes long: goes on where about as many as are wanted are left.
fn leap(first: Timestamp, last: Timestamp, now: Timestamp) -> Timestamp {
    let each = age(first, last) / MOST_COUNTED;
    let back = each.saturating_mul(2 * MOST_MADE_UP as u32);
    now.checked_sub(back).unwrap_or(last).max(last)
}

fn age(of: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(of).try_into().unwrap_or_default()
}
