//! The breaker: after two failures in a row nobody waits for Redis any more, until a probe has found it well.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Failures in a row after which it opens.
const FAILURES: u32 = 2;
/// The most keys that are remembered while it is open. More are forgotten: the durable version decides in any case, and
/// a stale entry goes with its time to live.
const REMEMBERED: usize = 10_000;

/// Whether Redis may be asked, and what it missed meanwhile.
#[derive(Debug)]
pub(super) struct Breaker(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    failures: u32,
    /// Why it is open; `None` while it is closed.
    open: Option<String>,
    missed: HashSet<String>,
}

impl Breaker {
    /// An open one: Redis has to be found first.
    pub(super) fn open(reason: &str) -> Self {
        Self(Mutex::new(Inner { failures: 0, open: Some(reason.to_owned()), missed: HashSet::new() }))
    }

    /// Why Redis is not asked, if it is not.
    pub(super) fn reason(&self) -> Option<String> {
        self.lock().open.clone()
    }

    pub(super) fn is_open(&self) -> bool {
        self.lock().open.is_some()
    }

    pub(super) fn succeeded(&self) {
        self.lock().failures = 0;
    }

    pub(super) fn failed(&self, reason: &str) {
        let mut inner = self.lock();
        inner.failures += 1;
        if inner.failures >= FAILURES && inner.open.is_none() {
            tracing::warn!(error = reason, "The cache does not answer and is left alone; work goes on without it.");
            inner.open = Some(reason.to_owned());
        }
    }

    /// Remembers an entry that should have been written and was not.
    pub(super) fn missed(&self, key: String) {
        let mut inner = self.lock();
        if inner.missed.len() < REMEMBERED {
            inner.missed.insert(key);
        }
    }

    /// What was missed, to be deleted before it closes. What is missed from now on is kept for the next time.
    pub(super) fn take_missed(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().missed).into_iter().collect()
    }

    pub(super) fn close(&self) {
        let mut inner = self.lock();
        inner.failures = 0;
        if inner.open.take().is_some() {
            tracing::info!("The cache answers and is used.");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_two_failures_in_a_row_and_remembers() {
        let breaker = Breaker::open("not yet found");
        assert_eq!(breaker.reason().as_deref(), Some("not yet found"));
        breaker.close();
        breaker.failed("slow");
        breaker.succeeded();
        breaker.failed("slow");
        assert!(!breaker.is_open(), "one failure is chance");
        breaker.failed("gone");
        assert_eq!(breaker.reason().as_deref(), Some("gone"));
        for n in 0..REMEMBERED + 5 {
            breaker.missed(n.to_string());
        }
        assert_eq!(breaker.take_missed().len(), REMEMBERED);
        breaker.close();
        assert!(!breaker.is_open() && breaker.take_missed().is_empty());
    }
}
