//! The rules by which a child lives.

use std::time::Duration;

use greenroom_config::spec::Supervision;
use greenroom_contract::execution::Failure;

/// When a child that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    Permanent,
    /// After an abnormal end only.
    Transient,
    /// Never.
    Temporary,
}

/// What follows when a child has used up its restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExhausted {
    /// It is parked; where the strategy ties siblings to it, they are down with it, else they do not notice.
    Park,
    /// The supervisor stops its children and ends with the child's cause, so that its own parent decides.
    Escalate,
}

/// The rules by which a child lives. Sources: OTP's supervisor (restart types, sliding window), Pekko's
/// `restartWithBackoff` (backoff and its reset after a stable time).
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// When it is started again.
    pub restart: Restart,
    /// So many restarts within `window` are made; what the next abnormal end leads to is `on_exhausted`.
    pub max_restarts: u32,
    /// The sliding window.
    pub window: Duration,
    /// The first wait before a restart; doubled for each restart since the child was last stable.
    pub backoff_min: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
    /// So long after a completed start without an abnormal end the child is stable: the backoff begins anew.
    pub stable_after: Duration,
    /// How long it gets to stop before it is killed.
    pub shutdown: Duration,
    /// What follows when the restarts are used up.
    pub on_exhausted: OnExhausted,
    /// So long after it was parked it is tried again, once: stable, it has its budget back; else it is parked anew.
    /// `None`: only an operator starts it.
    pub retry_parked_after: Option<Duration>,
}

/// How long a parked child rests before it is tried again.
const RETRY_PARKED_AFTER: Duration = Duration::from_secs(15 * 60);

impl Policy {
    /// The policy of the node's own services: they are always wanted, and a service that cannot stay up for long parks
    /// only after many tries, visible in the tree and in readiness.
    pub fn service() -> Self {
        Self {
            restart: Restart::Permanent,
            max_restarts: 100,
            window: Duration::from_secs(600),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            stable_after: Duration::from_secs(60),
            shutdown: Duration::from_secs(5),
            on_exhausted: OnExhausted::Park,
            retry_parked_after: Some(RETRY_PARKED_AFTER),
        }
    }

    /// The policy that an agent's YAML asks for.
    pub fn of(supervision: &Supervision) -> Self {
        Self {
            restart: Restart::Permanent,
            max_restarts: supervision.max_restarts,
            window: supervision.window.0,
            backoff_min: supervision.backoff.min.0,
            backoff_max: supervision.backoff.max.0,
            stable_after: supervision.stable_after.0,
            shutdown: supervision.shutdown.0,
            on_exhausted: OnExhausted::Park,
            retry_parked_after: Some(RETRY_PARKED_AFTER),
        }
    }

    /// The wait before restart number `nth` (from 0) since the child was last stable; `jitter` in 0..=1 adds up to 20 %.
    pub fn backoff(&self, nth: u32, jitter: f64) -> Duration {
        let doubled = self.backoff_min.saturating_mul(2_u32.saturating_pow(nth.min(31)));
        doubled.min(self.backoff_max).mul_f64(1.0 + 0.2 * jitter.clamp(0.0, 1.0))
    }
}

/// How a child ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// By itself, its work done.
    Normal,
    /// Because it was told to.
    Stopped,
    /// Because it had nothing to do for long: it is still wanted, and starts again when it is roused.
    Asleep,
    /// It could not start.
    StartFailed(Failure),
    /// It returned an error.
    Failed(Failure),
    /// It panicked.
    Panicked(Failure),
    /// It was killed or its task aborted: abnormal, as in OTP.
    Killed(Failure),
}

impl Exit {
    /// Why, where the end was abnormal.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Normal | Self::Stopped | Self::Asleep => None,
            Self::StartFailed(failure) | Self::Failed(failure) | Self::Panicked(failure) | Self::Killed(failure) => {
                Some(failure)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_to_its_bound_and_jitter_adds_at_most_a_fifth() {
        let policy =
            Policy { backoff_min: Duration::from_secs(1), backoff_max: Duration::from_secs(60), ..Policy::service() };
        let waits: Vec<u64> = (0..8).map(|n| policy.backoff(n, 0.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(policy.backoff(0, 1.0), Duration::from_millis(1200));
        assert_eq!(policy.backoff(u32::MAX, 0.0), Duration::from_secs(60));
    }
}
