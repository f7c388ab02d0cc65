//! How an attempt's end is judged: pure.

use std::time::Duration;

use greenroom_config::spec::Limits;
use greenroom_contract::{execution::Failure, port::state::Conclusion, status::ExecutionStatus};

/// Crashes after which an execution counts as poison.
pub(crate) const MAX_CRASHES: u32 = 3;
/// The code of a failure by time limit.
pub(crate) const TIMED_OUT: &str = "timed_out";

/// What follows a failed attempt. `lasting` says that another attempt cannot mend it.
pub(crate) fn after_failure(limits: &Limits, attempt: u32, failure: Failure, lasting: bool, jitter: f64) -> Conclusion {
    if lasting {
        return Conclusion::Ended { status: ExecutionStatus::Failed, failure };
    }
    if attempt < limits.max_attempts {
        return Conclusion::Retry { failure, after: wait_before(limits, attempt + 1, jitter) };
    }
    let status = if failure.code == TIMED_OUT { ExecutionStatus::TimedOut } else { ExecutionStatus::Dead };
    Conclusion::Ended { status, failure }
}

/// The wait before an attempt (from 2): doubled each time, within the limits, with up to 20 % jitter.
fn wait_before(limits: &Limits, attempt: u32, jitter: f64) -> Duration {
    let doubled = limits.retry.min.0.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(2).min(31)));
    doubled.min(limits.retry.max.0).mul_f64(1.0 + 0.2 * jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: &str) -> Failure {
        Failure::new(code, "why")
    }

    #[test]
    fn attempts_are_spent_one_by_one_with_growing_waits() {
        let limits = Limits::default();
        let waits: Vec<_> = (1..=3).map(|attempt| after_failure(&limits, attempt, failure("x"), false, 0.0)).collect();
        assert!(matches!(waits[0], Conclusion::Retry { after, .. } if after == Duration::from_secs(1)));
        assert!(matches!(waits[1], Conclusion::Retry { after, .. } if after == Duration::from_secs(2)));
        assert!(matches!(waits[2], Conclusion::Ended { status: ExecutionStatus::Dead, .. }));
    }

    #[test]
    fn a_lasting_failure_is_not_tried_again_and_a_time_limit_keeps_its_word() {
        let limits = Limits { max_attempts: 1, ..Limits::default() };
        let lasting = after_failure(&limits, 1, failure("authentication"), true, 0.0);
        assert!(matches!(lasting, Conclusion::Ended { status: ExecutionStatus::Failed, .. }));
        let late = after_failure(&limits, 1, failure(TIMED_OUT), false, 0.0);
        assert!(matches!(late, Conclusion::Ended { status: ExecutionStatus::TimedOut, .. }));
    }
}
