//! The pulse of an execution: written by itself and by the future round it, read from outside at any time.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{time::Time, verdict::Reading};

/// Signs of life. Times are kept as microseconds plus one, so that zero means never.
#[derive(Debug)]
pub struct Pulse {
    time: Time,
    in_poll_since: AtomicU64,
    polls: AtomicU64,
    began_at: AtomicU64,
    progress_at: AtomicU64,
    lease_until: AtomicU64,
    op: Mutex<String>,
    fenced: AtomicBool,
}

impl Pulse {
    /// The pulse of something that has not begun.
    pub fn new(time: Time) -> Self {
        Self {
            time,
            in_poll_since: AtomicU64::default(),
            polls: AtomicU64::default(),
            began_at: AtomicU64::default(),
            progress_at: AtomicU64::default(),
            lease_until: AtomicU64::default(),
            op: Mutex::default(),
            fenced: AtomicBool::default(),
        }
    }

    /// A call begins, and may be silent for so long.
    pub fn begin(&self, op: &str, lease: Duration) {
        op.clone_into(&mut self.op.lock().unwrap_or_else(PoisonError::into_inner));
        let now = self.time.now();
        // The lease first: a reading between these lines must not see a new call under an old lease.
        self.lease_until.store(stamp(now + lease), Ordering::Release);
        self.progress_at.store(stamp(now), Ordering::Release);
        self.began_at.store(stamp(now), Ordering::Release);
    }

    /// A sign of life: the call may be silent for so long again.
    pub fn beat(&self, lease: Duration) {
        let now = self.time.now();
        self.lease_until.store(stamp(now + lease), Ordering::Release);
        self.progress_at.store(stamp(now), Ordering::Release);
    }

    /// No progress, but a good reason to wait for at least so long: the store is away, and work waits for it.
    pub fn excuse(&self, wait: Duration) {
        self.lease_until.fetch_max(stamp(self.time.now() + wait), Ordering::AcqRel);
    }

    /// What it does.
    pub fn op(&self) -> String {
        self.op.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often it was polled.
    pub fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Everything at one moment.
    pub fn read(&self) -> Reading {
        Reading {
            in_poll_since: moment(&self.in_poll_since),
            began_at: moment(&self.began_at),
            progress_at: moment(&self.progress_at).unwrap_or_default(),
            lease_until: moment(&self.lease_until).unwrap_or_default(),
        }
    }

    /// Nothing that it does counts any more: it was quarantined.
    pub fn fence(&self) {
        self.fenced.store(true, Ordering::Release);
    }

    /// Whether it was quarantined.
    pub fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::Acquire)
    }

    fn enter(&self) -> InPoll<'_> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        self.in_poll_since.store(stamp(self.time.now()), Ordering::Release);
        InPoll(self)
    }
}

/// Leaves the poll also when it panics.
struct InPoll<'a>(&'a Pulse);

impl Drop for InPoll<'_> {
    fn drop(&mut self) {
        self.0.in_poll_since.store(0, Ordering::Release);
    }
}

/// Runs `work`, and notes in `pulse` when it is being polled.
pub async fn watched<F: Future>(pulse: &Pulse, work: F) -> F::Output {
    let mut work = pin!(work);
    poll_fn(|context| {
        let _in_poll = pulse.enter();
        work.as_mut().poll(context)
    })
    .await
}

fn stamp(at: Duration) -> u64 {
    at.as_micros() as u64 + 1
}

fn moment(stamp: &AtomicU64) -> Option<Duration> {
    stamp.load(Ordering::Acquire).checked_sub(1).map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn polls_are_counted_and_left_also_by_a_panic() {
        let pulse = Pulse::new(Time::runtime());
        watched(&pulse, async {
            assert_eq!(pulse.read().in_poll_since, Some(Duration::ZERO));
            tokio::time::sleep(Duration::from_secs(3)).await;
            assert_eq!(pulse.read().in_poll_since, Some(Duration::from_secs(3)), "each poll has its own beginning");
        })
        .await;
        assert_eq!((pulse.polls(), pulse.read().in_poll_since), (2, None));
        let dying = std::panic::AssertUnwindSafe(watched(&pulse, async { panic!("as planned") }));
        assert!(futures::FutureExt::catch_unwind(dying).await.is_err());
        assert_eq!(pulse.read().in_poll_since, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_renewed_by_progress_and_only_lengthened_by_an_excuse() {
        let pulse = Pulse::new(Time::runtime());
        assert_eq!(pulse.read().began_at, None);
        let secs = Duration::from_secs;
        pulse.begin("llm x", secs(60));
        tokio::time::advance(secs(50)).await;
        pulse.excuse(secs(5));
        assert_eq!(pulse.read().lease_until, secs(60), "a shorter excuse takes nothing away");
        pulse.excuse(secs(20));
        assert_eq!((pulse.read().lease_until, pulse.read().progress_at), (secs(70), secs(0)));
        pulse.beat(secs(30));
        assert_eq!((pulse.read().lease_until, pulse.read().progress_at), (secs(80), secs(50)));
        assert_eq!(pulse.op(), "llm x");
    }
}
