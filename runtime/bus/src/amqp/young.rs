//! Queues that are too new to be published into.
//!
//! What is confirmed by a queue of less than a second is gone if the broker is killed then. A queue is therefore bound only
//! once it is old enough, so that no node of the cluster can reach it before; this node's own publications that would reach
//! it wait for that, instead of finding no queue.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use greenroom_contract::TopicPattern;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

/// The queues that this node is about to bind.
#[derive(Debug)]
pub(super) struct Young {
    queues: Mutex<Vec<(u64, String, Vec<TopicPattern>)>>,
    count: AtomicUsize,
    next: AtomicUsize,
    changed: watch::Sender<()>,
}

impl Young {
    pub(super) fn new() -> Self {
        let changed = watch::Sender::new(());
        Self { queues: Mutex::default(), count: AtomicUsize::new(0), next: AtomicUsize::new(0), changed }
    }

    /// Holds back what would reach this queue, until the guard is dropped.
    pub(super) fn hold(&self, queue: &str, bindings: &[TopicPattern]) -> Held<'_> {
        let id = self.next.fetch_add(1, Ordering::Relaxed) as u64;
        let mut queues = self.lock();
        queues.push((id, queue.to_owned(), bindings.to_vec()));
        self.count.store(queues.len(), Ordering::Release);
        Held { young: self, id }
    }

    /// Whether there are any: publishing asks this each time.
    pub(super) fn any(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// Whether something published under this topic would reach one of them.
    pub(super) fn reached_by(&self, topic: &str) -> bool {
        self.lock()
            .iter()
            .any(|(_, queue, bindings)| queue == topic || bindings.iter().any(|pattern| pattern.matches(topic)))
    }

    /// Waits until nothing published under the topic would reach one of them, and not longer than `patience`.
    pub(super) async fn wait(&self, topic: &str, patience: Duration) {
        let mut changes = self.changed.subscribe();
        let deadline = Instant::now() + patience;
        while self.reached_by(topic) {
            match timeout_at(deadline, changes.changed()).await {
                Ok(Ok(())) => {}
                _ => return,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(u64, String, Vec<TopicPattern>)>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Publications are held back as long as this lives.
pub(super) struct Held<'a> {
    young: &'a Young,
    id: u64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut queues = self.young.lock();
        queues.retain(|(id, _, _)| *id != self.id);
        self.young.count.store(queues.len(), Ordering::Release);
        drop(queues);
        self.young.changed.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_would_reach_a_young_queue_waits() {
        let young = Young::new();
        assert!(!young.any());
        let held = young.hold("q", &["a.*".parse().unwrap()]);
        assert!(young.any() && young.reached_by("a.b") && young.reached_by("q") && !young.reached_by("b"));
        young.wait("b", Duration::from_secs(3600)).await;
        let began = Instant::now();
        young.wait("a.b", Duration::from_secs(5)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        let waiting = young.wait("a.b", Duration::from_secs(3600));
        let release = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(held);
        };
        tokio::join!(waiting, release);
        assert_eq!(began.elapsed(), Duration::from_secs(6));
        assert!(!young.any());
    }
}
