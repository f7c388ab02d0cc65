//! How an attempt's end, and a claim after a crash, are judged: pure.

use std::time::Duration;

use greenroom_config::spec::Limits;
use greenroom_contract::{
    execution::{Claimed, Failure},
    port::state::Conclusion,
    status::{ExecutionStatus, StepStatus},
};

/// Crashes in one place after which an execution counts as poison.
const MAX_CRASHES: u32 = 3;
/// The code of a failure by time limit.
pub(crate) const TIMED_OUT: &str = "timed_out";

/// Whether what is claimed kills whoever works on it: that many deaths, and no step finished between them. One that got further
/// each time was in the way of deaths that had other reasons, as a long run may be in a month of them; that ends, because its
/// steps are bounded.
pub(crate) fn is_poison(claimed: &Claimed) -> bool {
    let finished = |status| matches!(status, StepStatus::Settled | StepStatus::Failed);
    // A step is replayed by each claim since it was finished.
    let mut replays = claimed.journal.iter().filter(|step| finished(step.status)).map(|step| step.replays);
    claimed.crashes >= MAX_CRASHES && replays.all(|replays| replays >= MAX_CRASHES)
}

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
    use greenroom_contract::{
        Event, ExecutionId, TraceId,
        execution::{Fence, Step},
    };
    use serde_json::json;

    use super::{super::journal_tests::before, *};

    /// Claimed after so many crashes, with steps as they are and as often as they were replayed.
    fn claimed(crashes: u32, steps: &[(StepStatus, u32)]) -> Claimed {
        let step = |(seq, (status, replays)): (u32, &(StepStatus, u32))| Step {
            replays: *replays,
            ..before(seq, "model", *status)
        };
        Claimed {
            fence: Fence { execution: ExecutionId::new(), epoch: u64::from(crashes) + 1 },
            agent: "a".parse().unwrap(),
            version: "v1".to_owned(),
            event: Event::new("agent.input.a", "test", TraceId::new(), json!({})),
            attempt: 1,
            crashes,
            journal: (0..).zip(steps).map(step).collect(),
        }
    }

    #[test]
    fn three_deaths_in_one_place_are_poison_and_three_on_the_way_are_not() {
        use StepStatus::{Intended, Settled};
        for (crashes, steps, poison) in [
            (2, &[][..], false),
            (3, &[], true),
            (3, &[(Intended, 0)], true),
            (3, &[(Settled, 3), (Intended, 0)], true),
            (3, &[(Settled, 3), (Settled, 2), (Intended, 0)], false),
            (9, &[(Settled, 9), (StepStatus::Failed, 1), (Intended, 0)], false),
            (9, &[(Settled, 9), (Settled, 3), (Intended, 0)], true),
        ] {
            assert_eq!(is_poison(&claimed(crashes, steps)), poison, "{crashes} crashes, {steps:?}");
        }
    }

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
