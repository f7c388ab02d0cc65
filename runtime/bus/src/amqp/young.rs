//! Queues that are wanted and not to be published into yet.
//!
//! What is confirmed by a queue of less than a second is gone if the broker is killed then. A queue is therefore bound only
//! once it is old enough, so that no node of the cluster can reach it before. Until it is, this node's own publications that
//! would reach it wait, and are refused when that takes too long: without the binding a command would find no queue, and a
//! fact would pass by a subscriber without anybody noticing. That holds from the wish to its fulfilment, over failed tries and
//! lost connections: a broker that dies with a new queue comes back without it.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use greenroom_contract::{TopicPattern, port::bus::Error};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::call::unavailable;

/// How long a queue that cannot be had on a good connection keeps others' publications back: beyond that it is a fault of that
/// queue alone, and nobody else's.
const LONGEST: Duration = Duration::from_secs(60);

/// The queues that this node is about to bind.
#[derive(Debug)]
pub(super) struct Young {
    wishes: Mutex<HashMap<String, Wish>>,
    count: AtomicUsize,
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct Wish {
    bindings: Vec<TopicPattern>,
    /// Since when it could have been fulfilled.
    since: Instant,
}

impl Young {
    pub(super) fn new() -> Self {
        Self { wishes: Mutex::default(), count: AtomicUsize::new(0), changed: watch::Sender::new(()) }
    }

    /// Holds back what would reach this queue by these bindings, until it is there.
    pub(super) fn want(&self, queue: &str, bindings: Vec<TopicPattern>) {
        let mut wishes = self.lock();
        let since = wishes.get(queue).map_or_else(Instant::now, |wish| wish.since);
        wishes.insert(queue.to_owned(), Wish { bindings, since });
        self.count.store(wishes.len(), Ordering::Release);
    }

    /// There is no connection to fulfil it on.
    pub(super) fn out_of_reach(&self, queue: &str) {
        if let Some(wish) = self.lock().get_mut(queue) {
            wish.since = Instant::now();
        }
    }

    /// The queue is there and bound, or not wanted any more.
    pub(super) fn done(&self, queue: &str) {
        let mut wishes = self.lock();
        wishes.remove(queue);
        self.count.store(wishes.len(), Ordering::Release);
        drop(wishes);
        self.changed.send_replace(());
    }

    /// Whether there are any: publishing asks this each time.
    pub(super) fn any(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// Refuses what would reach one of them.
    pub(super) fn is_past(&self, topic: &str) -> Result<(), Error> {
        match self.any().then(|| self.reached_by(topic)).flatten() {
            Some(queue) => Err(unavailable(format!("the queue {queue}, which it goes to, is not ready yet"))),
            None => Ok(()),
        }
    }

    /// One of them that something published under this topic would reach.
    fn reached_by(&self, topic: &str) -> Option<String> {
        let reaches = |(queue, wish): &(&String, &Wish)| {
            wish.since.elapsed() < LONGEST
                && (queue.as_str() == topic || wish.bindings.iter().any(|pattern| pattern.matches(topic)))
        };
        self.lock().iter().find(reaches).map(|(queue, _)| queue.clone())
    }

    /// Waits until nothing published under the topic would reach one of them, and not beyond the deadline.
    pub(super) async fn wait(&self, topic: &str, deadline: Instant) {
        let mut changes = self.changed.subscribe();
        while self.reached_by(topic).is_some() {
            match timeout_at(deadline, changes.changed()).await {
                Ok(Ok(())) => {}
                _ => return,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Wish>> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_would_reach_a_young_queue_waits() {
        let young = Young::new();
        let in_secs = |secs| Instant::now() + Duration::from_secs(secs);
        assert!(!young.any());
        young.want("q", vec!["a.*".parse().unwrap()]);
        assert!(young.any() && young.reached_by("a.b").is_some() && young.reached_by("q").is_some());
        assert!(young.is_past("b").is_ok() && young.is_past("a.b").is_err());
        young.wait("b", in_secs(50)).await;
        let began = Instant::now();
        young.wait("a.b", in_secs(5)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        let release = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            young.done("q");
        };
        tokio::join!(young.wait("a.b", in_secs(50)), release);
        assert_eq!(began.elapsed(), Duration::from_secs(6));
        assert!(!young.any());
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_cannot_be_had_keeps_others_back_for_a_while_only() {
        let young = Young::new();
        young.want("q", vec!["a.*".parse().unwrap()]);
        tokio::time::sleep(LONGEST - Duration::from_secs(1)).await;
        // Tried again: it is the same wish.
        young.want("q", vec!["a.*".parse().unwrap()]);
        assert!(young.reached_by("a.b").is_some());
        // Without a connection its time does not run.
        young.out_of_reach("q");
        tokio::time::sleep(LONGEST - Duration::from_secs(1)).await;
        assert!(young.reached_by("a.b").is_some());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(young.reached_by("a.b").is_none());
    }
}
