//! The register of all pulses, and the round that judges them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    escalate::Patience,
    pulse::Pulse,
    quarantine::{Lost, Threads},
    time::Time,
    verdict::{Verdict, verdict},
};

/// How strictly is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How often.
    pub every: Duration,
    /// How long one poll may take.
    pub poll_limit: Duration,
    /// How long a lease that ran out is borne.
    pub grace: Duration,
    /// How long each remedy gets to work.
    pub patience: Patience,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            every: Duration::from_millis(250),
            poll_limit: Duration::from_secs(1),
            grace: Duration::from_secs(1),
            patience: Patience::default(),
        }
    }
}

/// The watchdog of a node. Cheap to clone.
#[derive(Clone)]
pub struct Watchdog {
    inner: Arc<Inner>,
}

struct Inner {
    time: Time,
    rules: Rules,
    next: AtomicU64,
    wards: Mutex<Wards>,
    threads: Threads,
}

#[derive(Default)]
struct Wards {
    all: HashMap<u64, Ward>,
    last_round: Option<Duration>,
}

struct Ward {
    pulse: Arc<Pulse>,
    report: Box<dyn Fn(Finding) + Send>,
    unread: Arc<AtomicBool>,
}

/// A bad verdict on its way to whom it concerns. The next one comes when this one was dropped.
pub struct Finding {
    /// What was found.
    pub verdict: Verdict,
    /// What it was doing.
    pub op: String,
    /// When, by the watchdog's clock.
    pub at: Duration,
    unread: Arc<AtomicBool>,
}

impl Drop for Finding {
    fn drop(&mut self) {
        self.unread.store(false, Ordering::Release);
    }
}

/// Keeps a pulse under watch until it is dropped.
pub struct Watch {
    dog: Watchdog,
    key: u64,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.dog.wards().all.remove(&self.key);
    }
}

impl Watchdog {
    /// A watchdog by the given clock, over a runtime with so many threads. Somebody has to call [`Watchdog::round`]:
    /// see [`super::Sampler`].
    pub fn new(time: Time, rules: Rules, workers: usize) -> Self {
        let threads = Threads::of(workers);
        Self { inner: Arc::new(Inner { time, rules, next: AtomicU64::default(), wards: Mutex::default(), threads }) }
    }

    /// How strictly it judges.
    pub fn rules(&self) -> &Rules {
        &self.inner.rules
    }

    /// A pulse by this watchdog's clock.
    pub fn pulse(&self) -> Arc<Pulse> {
        Arc::new(Pulse::new(self.inner.time))
    }

    /// Judges the pulse in every round, and calls `report` when it is hung or burns its thread. `report` must not wait:
    /// it is called by the thread that watches over all.
    pub fn watch(&self, pulse: Arc<Pulse>, report: impl Fn(Finding) + Send + 'static) -> Watch {
        let key = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let ward = Ward { pulse, report: Box::new(report), unread: Arc::default() };
        self.wards().all.insert(key, ward);
        Watch { dog: self.clone(), key }
    }

    /// Judges one pulse now.
    pub fn judge(&self, pulse: &Pulse) -> Verdict {
        verdict(&pulse.read(), self.inner.time.now(), self.inner.rules.poll_limit, self.inner.rules.grace)
    }

    /// One round over all pulses.
    pub fn round(&self) {
        let now = self.inner.time.now();
        let mut wards = self.wards();
        let last = wards.last_round.replace(now).unwrap_or(now);
        if now.saturating_sub(last) > self.inner.rules.every + self.inner.rules.poll_limit {
            // The watchdog itself was held up (a stopped process, a starved machine), and so was everybody: what looks
            // long is judged in the next round, when they have had their chance.
            return;
        }
        for ward in wards.all.values() {
            let found = self.judge(&ward.pulse);
            if matches!(found, Verdict::Hung { .. } | Verdict::CpuBound { .. })
                && !ward.unread.swap(true, Ordering::AcqRel)
            {
                let unread = Arc::clone(&ward.unread);
                (ward.report)(Finding { verdict: found, op: ward.pulse.op(), at: now, unread });
            }
        }
    }

    /// Counts a thread as lost, until what is returned is dropped.
    pub fn lose_thread(&self) -> Lost {
        self.inner.threads.lose()
    }

    /// Why the node cannot go on, when too many of its threads are lost.
    pub fn too_many_lost(&self) -> Option<String> {
        self.inner.threads.too_many()
    }

    /// Resolves with the reason when too many threads are lost.
    pub async fn overwhelmed(&self) -> String {
        self.inner.threads.overwhelmed().await
    }

    fn wards(&self) -> MutexGuard<'_, Wards> {
        self.inner.wards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dog() -> Watchdog {
        Watchdog::new(Time::runtime(), Rules::default(), 4)
    }

    #[tokio::test(start_paused = true)]
    async fn one_report_at_a_time_and_none_after_the_watch_ended() {
        let dog = dog();
        let pulse = dog.pulse();
        let found: Arc<Mutex<Vec<Finding>>> = Arc::default();
        let watch = dog.watch(Arc::clone(&pulse), {
            let found = Arc::clone(&found);
            move |finding| found.lock().expect("no test panics with it").push(finding)
        });
        let count = || found.lock().expect("no test panics with it").len();
        pulse.begin("tool x", Duration::from_secs(1));
        dog.round();
        assert_eq!(count(), 0);
        tokio::time::advance(Duration::from_millis(1000)).await;
        dog.round();
        tokio::time::advance(Duration::from_millis(1001)).await;
        dog.round();
        dog.round();
        assert_eq!(count(), 1, "the second waits until the first was read");
        let first = found.lock().expect("no test panics with it").remove(0);
        assert_eq!((first.op.as_str(), first.verdict), ("tool x", Verdict::Hung { since: Duration::ZERO }));
        drop(first);
        dog.round();
        assert_eq!(count(), 1);
        found.lock().expect("no test panics with it").clear();
        drop(watch);
        dog.round();
        assert_eq!(count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_round_that_comes_late_says_nothing() {
        let dog = dog();
        let pulse = dog.pulse();
        let heard = Arc::new(AtomicBool::default());
        let _watch = dog.watch(Arc::clone(&pulse), {
            let heard = Arc::clone(&heard);
            move |_| heard.store(true, Ordering::Relaxed)
        });
        dog.round();
        pulse.begin("tool x", Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(60)).await;
        dog.round();
        assert!(!heard.load(Ordering::Relaxed), "all were held up, not this one alone");
        dog.round();
        assert!(heard.load(Ordering::Relaxed), "it had its chance");
    }
}
