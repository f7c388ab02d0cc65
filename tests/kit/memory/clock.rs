//! Wall time that follows tokio's clock.

use greenroom_contract::{
    Clock,
    clock::{from_millis, to_millis},
};
use jiff::Timestamp;
use tokio::time::Instant;

/// The present moment, as a fixed beginning and what tokio's clock, paused or not, has gone on since.
#[derive(Debug)]
pub struct PausedClock {
    base: Timestamp,
    start: Instant,
}

impl PausedClock {
    /// A clock that says `base` now.
    pub fn from(base: Timestamp) -> Self {
        Self { base, start: Instant::now() }
    }
}

impl Default for PausedClock {
    /// The 22nd of November 2026, noon UTC.
    fn default() -> Self {
        Self::from(from_millis(1_795_348_800_000))
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        from_millis(to_millis(self.base).saturating_add(self.start.elapsed().as_millis() as i64))
    }
}
