//! When to dial again. Pure.

use std::time::Duration;

/// After the first failure; it doubles.
const FIRST: Duration = Duration::from_secs(1);
/// Slack lets a connection be opened about once a minute in the long run.
const LONGEST: Duration = Duration::from_secs(60);

/// Failures in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff(u32);

impl Backoff {
    /// Another failure. `told` is how long Slack wants to be left alone; `jitter` is between 0 and 1, so that many nodes do
    /// not come back together. Returns how long to wait.
    pub(super) fn failed(&mut self, told: Option<Duration>, jitter: f64) -> Duration {
        let doubled = FIRST.saturating_mul(2_u32.saturating_pow(self.0.min(16))).min(LONGEST);
        self.0 = self.0.saturating_add(1);
        doubled.mul_f64(0.5 + jitter.clamp(0.0, 1.0)).max(told.unwrap_or_default())
    }

    /// A connection stood.
    pub(super) fn succeeded(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_begin_anew() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..8).map(|_| backoff.failed(None, 0.5).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        for _ in 0..1_000 {
            assert!(backoff.failed(None, 1.0) <= LONGEST.mul_f64(1.5));
        }
        backoff.succeeded();
        assert_eq!(backoff.failed(None, 0.0), Duration::from_millis(500));
        assert_eq!(backoff.failed(Some(Duration::from_secs(30)), 0.0), Duration::from_secs(30), "Slack's word counts");
    }
}
