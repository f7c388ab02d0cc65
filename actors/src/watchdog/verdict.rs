//! The judgement: pure.

use std::time::Duration;

/// A pulse as it was read at one moment. Times are the watchdog's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Since when it has been inside one poll, if it is.
    pub in_poll_since: Option<Duration>,
    /// When its present call began; `None` when it has nothing to do.
    pub began_at: Option<Duration>,
    /// Its last sign of life.
    pub progress_at: Duration,
    /// Until when it may be silent.
    pub lease_until: Duration,
}

/// What a reading means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It has nothing to do.
    Idle,
    /// It waits within its lease, and has not been heard since its call began.
    Busy,
    /// It waits within its lease, and its call has shown signs of life.
    Progressing,
    /// Its lease ran out.
    Hung {
        /// Its last sign of life.
        since: Duration,
    },
    /// It does not give its thread back.
    CpuBound {
        /// When it got the thread.
        since: Duration,
    },
}

/// Judges. A poll may take `poll_limit`; a lease that ran out is borne for `grace`, so that the call's own time limit,
/// which says more of the cause, comes first.
pub fn verdict(reading: &Reading, now: Duration, poll_limit: Duration, grace: Duration) -> Verdict {
    if let Some(since) = reading.in_poll_since
        && now.saturating_sub(since) > poll_limit
    {
        return Verdict::CpuBound { since };
    }
    let Some(began_at) = reading.began_at else { return Verdict::Idle };
    if now > reading.lease_until + grace {
        return Verdict::Hung { since: reading.progress_at };
    }
    if reading.progress_at > began_at { Verdict::Progressing } else { Verdict::Busy }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn judge(reading: Reading, now: u64) -> Verdict {
        verdict(&reading, at(now), LIMIT, LIMIT)
    }

    #[test]
    fn each_case_has_its_verdict() {
        let idle = Reading::default();
        assert_eq!(judge(idle, 1_000_000), Verdict::Idle, "idle is healthy for ever");
        let call = Reading { began_at: Some(at(1000)), progress_at: at(1000), lease_until: at(61_000), ..idle };
        assert_eq!(judge(call, 50_000), Verdict::Busy);
        assert_eq!(judge(call, 61_900), Verdict::Busy, "the call's own limit comes first");
        assert_eq!(judge(call, 62_001), Verdict::Hung { since: at(1000) });
        let stream = Reading { progress_at: at(600_000), lease_until: at(660_000), ..call };
        assert_eq!(judge(stream, 601_000), Verdict::Progressing, "a ten-minute stream is healthy");
        let spin = Reading { in_poll_since: Some(at(5000)), ..call };
        assert_eq!(judge(spin, 6000), Verdict::Busy);
        assert_eq!(judge(spin, 6001), Verdict::CpuBound { since: at(5000) });
        assert_eq!(judge(spin, 90_000), Verdict::CpuBound { since: at(5000) }, "who spins is not waiting");
    }
}
