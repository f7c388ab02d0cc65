//! Numbers of several rounds, and how they are printed.

use std::time::Duration;

/// One round: how long it took, and how long each of its operations did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Round {
    pub(crate) took: Duration,
    pub(crate) latencies: Vec<Duration>,
}

impl Round {
    fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    fn percentile(&self, share: f64) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort();
        let place = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
        sorted.get(place).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }
}

/// The medians over rounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summary {
    /// Operations in a second.
    pub(crate) rate: f64,
    /// Latencies, in milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Summary {
    pub(crate) fn of(rounds: &[Round]) -> Self {
        let each = |number: &dyn Fn(&Round) -> f64| median(rounds.iter().map(number).collect());
        Self {
            rate: each(&Round::per_second),
            p50: each(&|round| round.percentile(0.5)),
            p99: each(&|round| round.percentile(0.99)),
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>7.0}/s  p50 {:>7.2} ms  p99 {:>7.2} ms", self.rate, self.p50, self.p99)
    }
}

pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}
