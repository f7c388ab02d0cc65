//! When a schedule fires: pure arithmetic.
//!
//! A cron expression is read in its time zone. Where clocks go forward, a firing at a fixed time of day that falls into the
//! hour that is not there happens at the end of the gap; where they go back, it happens once, at the first of the two. An
//! expression that repeats within the day (`*/30 * * * *`) follows the time as it passes: it makes no firing that the clock
//! does not show, and goes on through the hour that the clock shows twice.
//!
//! An interval counts from its anchor, the moment when the schedule was first seen, so that no restart moves it. So that agents
//! that were started together do not all fire together, each is late by a part of its interval that follows from its name: less
//! than a tenth of it, and less than a minute.

use croner::Cron;
use greenroom_config::{load::cron_parser, spec::Schedule};
use greenroom_contract::{AgentId, clock::to_millis};
use jiff::{Timestamp, tz::TimeZone};
use sha2::{Digest, Sha256};

/// The longest that an interval is shifted.
const LONGEST_SHIFT_MS: i64 = 60_000;

/// A schedule that cannot be read. The loader has refused it; only an agent in Rust gets so far.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schedule cannot be read: {why}")]
pub struct Unusable {
    why: String,
}

/// The times of one agent's schedule.
#[derive(Debug, Clone)]
pub struct Timetable {
    times: Times,
    digest: String,
}

#[derive(Debug, Clone)]
enum Times {
    Cron { cron: Box<Cron>, zone: TimeZone },
    Every { every_ms: i64, shift_ms: i64 },
}

impl Timetable {
    /// The times of `agent`'s schedule.
    pub fn new(agent: &AgentId, schedule: &Schedule) -> Result<Self, Unusable> {
        let unusable = |why: String| Unusable { why };
        let (times, text) = match (&schedule.cron, &schedule.every) {
            (Some(text), _) => {
                let cron = cron_parser().parse(text).map_err(|error| unusable(error.to_string()))?;
                let zone = TimeZone::get(&schedule.timezone).map_err(|error| unusable(error.to_string()))?;
                (Times::Cron { cron: Box::new(cron), zone }, format!("cron {text} in {}", schedule.timezone))
            }
            (None, Some(every)) => {
                let every_ms = i64::try_from(every.0.as_millis()).unwrap_or(i64::MAX).max(1);
                let shift_ms = shift(agent, every_ms);
                (Times::Every { every_ms, shift_ms }, format!("every {every_ms} ms"))
            }
            (None, None) => return Err(unusable("it has neither `cron` nor `every`".to_owned())),
        };
        Ok(Self { times, digest: hex::encode(&Sha256::digest(text)[..8]) })
    }

    /// Names what the schedule says about times, and nothing else of it.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The first time after `after`; `None` if there is none any more. `anchor` is from when an interval counts.
    pub fn next(&self, anchor: Timestamp, after: Timestamp) -> Option<Timestamp> {
        match &self.times {
            Times::Cron { cron, zone } => {
                // What is searched for are whole seconds: a start within one would find that second itself.
                let after = Timestamp::from_second(after.as_millisecond().div_euclid(1000)).ok()?;
                let found = cron.find_next_occurrence(&after.to_zoned(zone.clone()), false).ok()?;
                Some(found.timestamp())
            }
            Times::Every { every_ms, shift_ms } => {
                let first = to_millis(anchor).saturating_add(*shift_ms).saturating_add(*every_ms);
                let gone = to_millis(after).saturating_sub(first);
                let steps = if gone < 0 { 0 } else { gone / every_ms + 1 };
                let next = steps.checked_mul(*every_ms)?.checked_add(first)?;
                Timestamp::from_millisecond(next).ok()
            }
        }
    }

    /// The times after `after`, at most so many.
    pub fn upcoming(&self, anchor: Timestamp, after: Timestamp, most: usize) -> Vec<Timestamp> {
        let first = self.next(anchor, after);
        std::iter::successors(first, |at| self.next(anchor, *at)).take(most).collect()
    }
}

/// By how much an agent's interval is shifted.
fn shift(agent: &AgentId, every_ms: i64) -> i64 {
    let room = (every_ms / 10).min(LONGEST_SHIFT_MS);
    if room == 0 {
        return 0;
    }
    let digest = Sha256::digest(agent.as_str());
    let number = digest.iter().take(7).fold(0_i64, |number, byte| (number << 8) | i64::from(*byte));
    number % room
}
