//! Whose turn it is under a topic: what was to be published first is on its way first, also where it has to wait.
//!
//! A publication may wait until its queue is old enough, or go by the side. Those that come after it under the same topic wait
//! behind it, and nobody else does.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// The turns.
#[derive(Debug, Default)]
pub(super) struct Turns {
    queues: Mutex<Queues>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    next: u64,
    by_topic: HashMap<String, VecDeque<u64>>,
}

/// A place in the queue of each topic of a batch, from when it was taken until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    number: u64,
    topics: BTreeSet<String>,
}

impl Turns {
    /// Takes the next place under each of these topics at once, so that no two batches wait for each other.
    pub(super) fn take<'a>(&self, topics: impl Iterator<Item = &'a str>) -> Turn<'_> {
        let topics: BTreeSet<String> = topics.map(str::to_owned).collect();
        let mut queues = self.lock();
        queues.next += 1;
        let number = queues.next;
        for topic in &topics {
            queues.by_topic.entry(topic.clone()).or_default().push_back(number);
        }
        Turn { turns: self, number, topics }
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Waits until those before it are on their way.
    pub(super) async fn come(&self) {
        loop {
            let changed = self.turns.changed.notified();
            let mut changed = std::pin::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            if self.is_first() {
                return;
            }
            changed.await;
        }
    }

    fn is_first(&self) -> bool {
        let queues = self.turns.lock();
        self.topics.iter().all(|topic| queues.by_topic.get(topic).and_then(VecDeque::front) == Some(&self.number))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut queues = self.turns.lock();
        for topic in &self.topics {
            let Some(queue) = queues.by_topic.get_mut(topic) else { continue };
            queue.retain(|number| *number != self.number);
            if queue.is_empty() {
                queues.by_topic.remove(topic);
            }
        }
        drop(queues);
        self.turns.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_came_first_goes_first_and_others_are_not_held_up() {
        let turns = Turns::default();
        let first = turns.take(["a", "b", "a"].into_iter());
        let second = turns.take(["b", "c"].into_iter());
        let third = turns.take(["c"].into_iter());
        let other = turns.take(["d"].into_iter());
        assert!(first.come().now_or_never().is_some() && other.come().now_or_never().is_some());
        assert!(second.come().now_or_never().is_none() && third.come().now_or_never().is_none());
        let waits = tokio::join!(second.come(), async { drop(first) });
        assert_eq!(waits, ((), ()));
        assert!(third.come().now_or_never().is_none(), "it stays behind the second");
        drop(second);
        assert!(third.come().now_or_never().is_some());
        drop((third, other));
        assert!(turns.lock().by_topic.is_empty());
    }
}
