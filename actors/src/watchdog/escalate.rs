//! How far to go with one that is hung or burns its thread: pure.

use std::time::Duration;

use super::verdict::Verdict;

/// How far it has come with an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// Nothing was done to it.
    #[default]
    Watched,
    /// It was named in the log: its poll takes too long.
    Warned,
    /// It was asked to end.
    Cancelled {
        /// When.
        at: Duration,
    },
    /// Its task was aborted; it ends as soon as it gives its thread back.
    Aborted {
        /// When.
        at: Duration,
    },
    /// It did not even then: it is fenced and left behind.
    Quarantined,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing yet, or nothing more.
    Wait,
    /// Name it in the log.
    Warn,
    /// Ask it to end.
    Cancel,
    /// Abort its task.
    Abort,
    /// Fence it, give its work to others, leave its task behind.
    Quarantine,
}

/// How long each remedy gets to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From being asked to end to being aborted.
    pub cancel: Duration,
    /// From the beginning of a poll to being aborted: one that was merely long has ended by then.
    pub spin: Duration,
    /// From being aborted to quarantine.
    pub abort: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { cancel: Duration::from_secs(5), spin: Duration::from_secs(2), abort: Duration::from_secs(2) }
    }
}

/// Decides, and notes in `stage` how far it has come.
pub fn escalate(stage: &mut Stage, verdict: Verdict, now: Duration, patience: &Patience) -> Remedy {
    let (next, remedy) = match (*stage, verdict) {
        (_, Verdict::Idle | Verdict::Busy | Verdict::Progressing) | (Stage::Quarantined, _) => return Remedy::Wait,
        (Stage::Aborted { at }, Verdict::CpuBound { .. }) if now.saturating_sub(at) >= patience.abort => {
            (Stage::Quarantined, Remedy::Quarantine)
        }
        (Stage::Aborted { .. }, _) => return Remedy::Wait,
        (_, Verdict::CpuBound { since }) if now.saturating_sub(since) >= patience.spin => {
            (Stage::Aborted { at: now }, Remedy::Abort)
        }
        (Stage::Watched, Verdict::CpuBound { .. }) => (Stage::Warned, Remedy::Warn),
        (_, Verdict::CpuBound { .. }) => return Remedy::Wait,
        (Stage::Watched | Stage::Warned, Verdict::Hung { .. }) => (Stage::Cancelled { at: now }, Remedy::Cancel),
        (Stage::Cancelled { at }, Verdict::Hung { .. }) if now.saturating_sub(at) >= patience.cancel => {
            (Stage::Aborted { at: now }, Remedy::Abort)
        }
        (Stage::Cancelled { .. }, Verdict::Hung { .. }) => return Remedy::Wait,
    };
    *stage = next;
    remedy
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first second at which each remedy is due, when the same verdict is heard every quarter of a second.
    fn remedies(verdict: Verdict, from: u64, to: u64) -> Vec<(Remedy, f64)> {
        let mut stage = Stage::default();
        let rounds = (from * 4)..=(to * 4);
        let times = rounds.map(|quarters| Duration::from_millis(quarters * 250));
        let decided = times.map(|now| (escalate(&mut stage, verdict, now, &Patience::default()), now.as_secs_f64()));
        decided.filter(|(remedy, _)| *remedy != Remedy::Wait).collect()
    }

    #[test]
    fn a_hung_one_is_asked_first_and_dead_within_ten_seconds() {
        let hung = Verdict::Hung { since: Duration::ZERO };
        assert_eq!(remedies(hung, 61, 90), [(Remedy::Cancel, 61.0), (Remedy::Abort, 66.0)]);
    }

    #[test]
    fn a_spinning_one_is_fenced_within_five_seconds_of_the_limit() {
        let spin = Verdict::CpuBound { since: Duration::ZERO };
        let expected = [(Remedy::Warn, 1.0), (Remedy::Abort, 2.0), (Remedy::Quarantine, 4.0)];
        assert_eq!(remedies(spin, 1, 60), expected);
    }

    #[test]
    fn one_long_poll_is_forgiven_and_healthy_news_never_lead_to_anything() {
        let mut stage = Stage::default();
        let patience = Patience::default();
        let at = Duration::from_secs;
        assert_eq!(escalate(&mut stage, Verdict::CpuBound { since: at(0) }, at(1), &patience), Remedy::Warn);
        for verdict in [Verdict::Busy, Verdict::Progressing, Verdict::Idle] {
            assert_eq!(escalate(&mut stage, verdict, at(100), &patience), Remedy::Wait);
        }
        assert_eq!(stage, Stage::Warned);
    }
}
