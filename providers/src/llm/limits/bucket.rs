//! A bucket that fills up at a steady rate: what a limit of so many a minute comes to.

use std::time::Duration;

use tokio::time::Instant;

/// A bucket.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    capacity: f64,
    level: f64,
    per_second: f64,
    at: Instant,
}

impl Bucket {
    /// A full one for `limit` a minute. A minute's worth may be taken at once.
    pub(super) fn per_minute(limit: u32, now: Instant) -> Self {
        let limit = f64::from(limit);
        Self { capacity: limit, level: limit, per_second: limit / 60.0, at: now }
    }

    /// One as a server tells: so much is left of the limit, and all of it will be there after `reset`.
    pub(super) fn told(limit: f64, remaining: f64, reset: Duration, now: Instant) -> Self {
        let missing = (limit - remaining).max(0.0);
        let per_second = if missing > 0.0 { missing / reset.as_secs_f64().max(0.001) } else { limit / 60.0 };
        Self { capacity: limit, level: remaining, per_second, at: now }
    }

    /// How long it takes until `need` is there, with so many of the same need before it. More than it holds is never
    /// there: then a full bucket has to do, for each of them.
    pub(super) fn wait_for(&mut self, need: f64, ahead: f64, now: Instant) -> Duration {
        self.fill(now);
        let missing = need.min(self.capacity) * (1.0 + ahead) - self.level;
        // The level is a sum of many small numbers: a millionth of a token is no reason to wait.
        if missing <= 1e-6 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(missing / self.per_second).unwrap_or(Duration::MAX)
    }

    /// Takes what a call needs; it may go below nothing, and others then wait longer.
    pub(super) fn take(&mut self, need: f64, now: Instant) {
        self.fill(now);
        self.level -= need.min(self.capacity);
    }

    /// Sets right what was taken, once it is known what a call did need.
    pub(super) fn correct(&mut self, taken: f64, needed: f64) {
        self.level = (self.level + taken.min(self.capacity) - needed).min(self.capacity);
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + passed * self.per_second).min(self.capacity);
        self.at = now.max(self.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_minutes_worth_is_there_at_once_and_the_rest_comes_steadily() {
        let now = Instant::now();
        let mut bucket = Bucket::per_minute(60, now);
        for _ in 0..60 {
            assert_eq!(bucket.wait_for(1.0, 0.0, now), Duration::ZERO);
            bucket.take(1.0, now);
        }
        assert_eq!(bucket.wait_for(1.0, 0.0, now), SECOND);
        assert_eq!(bucket.wait_for(1.0, 99.0, now), 100 * SECOND, "a long line is a long wait");
        assert_eq!(bucket.wait_for(1.0, 0.0, now + SECOND), Duration::ZERO);
        assert_eq!(bucket.wait_for(1000.0, 0.0, now + SECOND), 59 * SECOND, "more than it holds is a full one");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_too_much_comes_back() {
        let now = Instant::now();
        let mut bucket = Bucket::per_minute(6000, now);
        bucket.take(6000.0, now);
        bucket.correct(6000.0, 1000.0);
        assert_eq!(bucket.wait_for(5000.0, 0.0, now), Duration::ZERO);
        bucket.correct(0.0, 6000.0);
        assert_eq!(bucket.wait_for(1.0, 0.0, now), Duration::from_secs_f64(10.01));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_server_tells_holds_until_its_reset() {
        let now = Instant::now();
        let mut bucket = Bucket::told(500.0, 0.0, 5 * SECOND, now);
        assert_eq!(bucket.wait_for(1.0, 0.0, now), Duration::from_millis(10));
        assert_eq!(bucket.wait_for(500.0, 0.0, now), 5 * SECOND);
        assert_eq!(Bucket::told(500.0, 500.0, Duration::ZERO, now).wait_for(500.0, 0.0, now), Duration::ZERO);
    }
}
