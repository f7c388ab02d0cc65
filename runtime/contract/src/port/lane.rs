//! A bounded channel that weighs next to nothing while it is empty. A subscription of each of ten thousand agents is one, and
//! nearly all of them wait: tokio's channel keeps room for 32 items and four locks from the start, which is most of a KiB.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Makes a lane for so many items at a time.
pub(super) fn lane<T>(capacity: usize) -> (LaneSender<T>, LaneReceiver<T>) {
    let state = State {
        items: VecDeque::new(),
        capacity: capacity.max(1),
        senders: 1,
        left: false,
        reader: None,
        watchers: Vec::new(),
    };
    let lane = Arc::new(Mutex::new(state));
    (LaneSender(Arc::clone(&lane)), LaneReceiver(lane))
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    capacity: usize,
    senders: usize,
    /// Whether the reader has gone.
    left: bool,
    reader: Option<Waker>,
    /// Who waits for the reader to go.
    watchers: Vec<Waker>,
}

/// The end into which an adapter puts deliveries.
#[derive(Debug)]
pub struct LaneSender<T>(Arc<Mutex<State<T>>>);

impl<T> LaneSender<T> {
    /// Hands an item over without waiting. Fails with the item when the lane is full or its reader has gone.
    pub fn try_send(&self, item: T) -> Result<(), T> {
        let reader = {
            let mut state = lock(&self.0);
            if state.left || state.items.len() >= state.capacity {
                return Err(item);
            }
            state.items.push_back(item);
            state.reader.take()
        };
        reader.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Whether the reader has gone.
    pub fn is_closed(&self) -> bool {
        lock(&self.0).left
    }

    /// Resolves when the reader has gone.
    pub async fn closed(&self) {
        poll_fn(|cx| self.poll_closed(cx)).await;
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.0);
        if state.left {
            return Poll::Ready(());
        }
        if !state.watchers.iter().any(|watcher| watcher.will_wake(cx.waker())) {
            state.watchers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl<T> Clone for LaneSender<T> {
    fn clone(&self) -> Self {
        lock(&self.0).senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for LaneSender<T> {
    fn drop(&mut self) {
        let reader = {
            let mut state = lock(&self.0);
            state.senders -= 1;
            if state.senders > 0 {
                return;
            }
            state.reader.take()
        };
        reader.into_iter().for_each(Waker::wake);
    }
}

/// The end that a subscription reads.
#[derive(Debug)]
pub(super) struct LaneReceiver<T>(Arc<Mutex<State<T>>>);

impl<T> LaneReceiver<T> {
    /// The next item; `None` when every sender has gone and nothing is left. An item leaves at the poll that returns it.
    pub(super) async fn next(&mut self) -> Option<T> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = lock(&self.0);
        match state.items.pop_front() {
            Some(item) => Poll::Ready(Some(item)),
            None if state.senders == 0 => Poll::Ready(None),
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for LaneReceiver<T> {
    fn drop(&mut self) {
        let (items, watchers) = {
            let mut state = lock(&self.0);
            state.left = true;
            state.reader = None;
            (std::mem::take(&mut state.items), std::mem::take(&mut state.watchers))
        };
        // Outside the lock: an item that is dropped goes back to its queue, which may look at this lane.
        drop(items);
        watchers.into_iter().for_each(Waker::wake);
    }
}

fn lock<T>(lane: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    lane.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn items_arrive_in_order_and_no_more_than_there_is_room_for() {
        let (sender, mut receiver) = lane(2);
        assert_eq!(receiver.next().now_or_never(), None, "it waits");
        assert_eq!((sender.try_send(1), sender.try_send(2), sender.try_send(3)), (Ok(()), Ok(()), Err(3)));
        assert_eq!(receiver.next().now_or_never(), Some(Some(1)));
        assert_eq!(sender.try_send(4), Ok(()));
        drop(sender);
        assert_eq!(receiver.next().now_or_never(), Some(Some(2)));
        assert_eq!(receiver.next().now_or_never(), Some(Some(4)));
        assert_eq!(receiver.next().now_or_never(), Some(None), "the end comes last");
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_an_item_by_the_last_senders_end_and_by_the_readers() {
        let (sender, mut receiver) = lane(1);
        let other = sender.clone();
        let reading = crate::task::spawn("reader", async move {
            let heard = (receiver.next().await, receiver.next().await);
            (heard, receiver)
        });
        tokio::task::yield_now().await;
        sender.try_send(7).unwrap();
        tokio::task::yield_now().await;
        drop(sender);
        tokio::task::yield_now().await;
        assert!(!reading.is_finished(), "one sender is left");
        let watching = crate::task::spawn("watcher", {
            let last = other.clone();
            async move { last.closed().await }
        });
        tokio::task::yield_now().await;
        assert!(!other.is_closed() && !watching.is_finished());
        watching.abort();
        drop(watching.await);
        drop(other);
        let (heard, receiver) = reading.await.unwrap();
        assert_eq!(heard, (Some(7), None));
        drop(receiver);

        let (sender, receiver) = lane::<u8>(1);
        let watching = crate::task::spawn("watcher", async move { sender.closed().await });
        tokio::task::yield_now().await;
        drop(receiver);
        watching.await.unwrap();
    }

    #[test]
    fn what_the_reader_left_behind_is_dropped_with_it_and_may_look_back() {
        struct Back(LaneSender<Back>);
        impl Drop for Back {
            fn drop(&mut self) {
                assert!(self.0.is_closed());
            }
        }
        let (sender, receiver) = lane(1);
        assert!(sender.try_send(Back(sender.clone())).is_ok());
        drop(receiver);
        assert!(sender.is_closed());
    }
}
