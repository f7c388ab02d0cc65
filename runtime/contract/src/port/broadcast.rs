//! What nodes tell each other without keeping it: the broadcasts of the bus, and the ring that each listener reads from.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use bytes::Bytes;
use tokio::sync::Notify;

use super::bus::Subscription;
use crate::topic::TopicPattern;

/// The longest body of a broadcast, in bytes. Who has more to tell tells it in parts.
pub const MAX_BROADCAST_BYTES: usize = 1 << 20;
/// So many broadcasts wait for a listener; then it loses the oldest.
const MAX_WAITING: usize = 1024;
/// So many bytes wait for a listener; then it loses the oldest.
const MAX_WAITING_BYTES: usize = 16 << 20;

/// Something said to whoever listens now. It is nowhere durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broadcast {
    /// What it is about, as topics are written; listeners choose by it.
    pub topic: String,
    /// What is said. At most [`MAX_BROADCAST_BYTES`].
    pub body: Bytes,
}

/// The listeners within this process, for adapters: each has a bounded ring of its own, so that telling never waits and a
/// slow listener costs only itself. When this is dropped, every subscription ends.
#[derive(Debug, Default)]
pub struct Listeners {
    rings: Mutex<Vec<Weak<Ring<Broadcast>>>>,
}

impl Listeners {
    /// Starts to listen. Dropping the subscription ends it.
    pub fn listen(&self, pattern: TopicPattern) -> Subscription<Broadcast> {
        let ring = Arc::new(Ring::new(pattern));
        let mut rings = self.lock();
        rings.retain(|ring| ring.strong_count() > 0);
        rings.push(Arc::downgrade(&ring));
        drop(rings);
        Subscription::of_ring(ring)
    }

    /// Tells everybody whose pattern matches. Never waits: a listener with a full ring loses its oldest.
    pub fn tell(&self, broadcast: &Broadcast) {
        for ring in self.lock().iter().filter_map(Weak::upgrade) {
            if ring.pattern.matches(&broadcast.topic) {
                ring.push(broadcast.clone(), broadcast.body.len());
            }
        }
    }

    /// Ends every subscription, after what waits in it: the connection that fed them is gone.
    pub fn end(&self) {
        for ring in self.lock().drain(..).filter_map(|ring| ring.upgrade()) {
            ring.close();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Ring<Broadcast>>>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.end();
    }
}

/// What waits for one listener.
#[derive(Debug)]
pub(super) struct Ring<T> {
    pattern: TopicPattern,
    waiting: Mutex<Waiting<T>>,
    news: Notify,
}

#[derive(Debug)]
struct Waiting<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    closed: bool,
}

impl<T> Ring<T> {
    fn new(pattern: TopicPattern) -> Self {
        let waiting = Mutex::new(Waiting { items: VecDeque::new(), bytes: 0, closed: false });
        Self { pattern, waiting, news: Notify::new() }
    }

    fn push(&self, item: T, size: usize) {
        let mut waiting = self.lock();
        waiting.items.push_back((item, size));
        waiting.bytes += size;
        while waiting.items.len() > MAX_WAITING || (waiting.bytes > MAX_WAITING_BYTES && waiting.items.len() > 1) {
            if let Some((_, lost)) = waiting.items.pop_front() {
                waiting.bytes -= lost;
            }
        }
        drop(waiting);
        self.news.notify_one();
    }

    fn close(&self) {
        self.lock().closed = true;
        self.news.notify_one();
    }

    /// The next item; `None` when the ring is closed and empty. There is one reader, so one permit of `news` suffices, and
    /// dropping the future loses nothing: an item leaves the ring at the poll that returns it.
    pub(super) async fn next(&self) -> Option<T> {
        loop {
            if let Some(answer) = self.pop() {
                return answer;
            }
            self.news.notified().await;
        }
    }

    /// The oldest item, the end, or nothing yet.
    fn pop(&self) -> Option<Option<T>> {
        let mut waiting = self.lock();
        match waiting.items.pop_front() {
            Some((item, size)) => {
                waiting.bytes -= size;
                Some(Some(item))
            }
            None => waiting.closed.then_some(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn said(topic: &str, n: usize) -> Broadcast {
        Broadcast { topic: topic.to_owned(), body: Bytes::from(n.to_string()) }
    }

    #[test]
    fn a_slow_listener_loses_the_oldest_and_holds_up_nobody() {
        let listeners = Listeners::default();
        let mut slow = listeners.listen("x.*".parse().unwrap());
        for n in 0..MAX_WAITING + 3 {
            listeners.tell(&said("x.y", n));
        }
        assert_eq!(slow.next().now_or_never().unwrap().unwrap().body, "3");
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_too() {
        let listeners = Listeners::default();
        let mut slow = listeners.listen("x".parse().unwrap());
        for n in 0..20_u8 {
            let body = Bytes::from(vec![n; MAX_BROADCAST_BYTES]);
            listeners.tell(&Broadcast { topic: "x".to_owned(), body });
        }
        assert_eq!(slow.next().now_or_never().unwrap().unwrap().body[0], 4);
    }

    #[test]
    fn an_end_comes_after_what_waits() {
        let listeners = Listeners::default();
        let mut subscription = listeners.listen("x".parse().unwrap());
        listeners.tell(&said("x", 1));
        listeners.end();
        assert_eq!(subscription.next().now_or_never().unwrap(), Some(said("x", 1)));
        assert_eq!(subscription.next().now_or_never().unwrap(), None);
    }
}
