//! How the relay hears of what was put into the outbox, and gets into its hands what is leased to it already.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use greenroom_contract::port::state::{OutboxId, OutboxRow, Outgoing};
use tokio::sync::Notify;

/// Rows in the relay's tray at most. Beyond this it takes them from the store, at its own pace.
const MOST: usize = 1000;

/// The relay's bell, that of the replies, and the relay's tray.
#[derive(Debug, Default)]
pub struct Outbox {
    bell: Notify,
    replies: Notify,
    look: AtomicBool,
    tray: Mutex<Vec<OutboxRow>>,
}

impl Outbox {
    /// Something was put into the outbox. Only a hint: the relay looks by itself, too.
    pub fn ring(&self) {
        self.look.store(true, Ordering::Release);
        self.bell.notify_one();
        self.replies.notify_one();
    }

    /// Whether a row may be leased to the relay and handed to it.
    pub fn has_room(&self) -> bool {
        self.lock().len() < MOST
    }

    /// Hands over a row that is leased to this node's relay. One that the relay loses comes free with its lease.
    pub fn hand(&self, row: OutboxRow) {
        self.lock().push(row);
        self.bell.notify_one();
    }

    /// Hands over what an execution has left, each with the id of its row where it is leased to this node's relay; for
    /// the rest the relay is rung.
    pub(crate) fn hand_all(&self, left: Vec<Outgoing>, leased: &[Option<OutboxId>]) {
        for (at, outgoing) in left.into_iter().enumerate() {
            match leased.get(at).copied().flatten() {
                Some(id) => self.hand(OutboxRow { id, outgoing, attempts: 0 }),
                None => self.ring(),
            }
        }
    }

    /// What was handed over, oldest first.
    pub(crate) fn take(&self) -> Vec<OutboxRow> {
        std::mem::take(&mut *self.lock())
    }

    /// Whether it was rung for since this was asked last.
    pub(crate) fn is_rung(&self) -> bool {
        self.look.swap(false, Ordering::AcqRel)
    }

    /// Resolves when there may be news.
    pub(crate) async fn news(&self) {
        self.bell.notified().await;
    }

    /// Resolves when there may be replies.
    pub(crate) async fn replies(&self) {
        self.replies.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Vec<OutboxRow>> {
        self.tray.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use greenroom_contract::{
        Event, TraceId,
        port::state::{OutboxId, Outgoing},
    };

    use super::*;

    #[test]
    fn the_relay_is_rung_for_what_is_in_the_store_and_handed_the_rest() {
        let outbox = Outbox::default();
        assert!(outbox.news().now_or_never().is_none() && !outbox.is_rung());
        let event = Event::new("a.b", "test", TraceId::new(), serde_json::json!(1));
        for id in 0..MOST as i64 {
            assert!(outbox.has_room());
            let outgoing = Outgoing::Event { event: event.clone(), mandatory: true };
            outbox.hand(OutboxRow { id: OutboxId(id), outgoing, attempts: 0 });
        }
        assert!(!outbox.has_room() && !outbox.is_rung());
        assert!(outbox.news().now_or_never().is_some());
        let taken: Vec<i64> = outbox.take().iter().map(|row| row.id.0).collect();
        assert_eq!(taken, (0..MOST as i64).collect::<Vec<_>>());
        outbox.ring();
        assert!(outbox.news().now_or_never().is_some() && outbox.is_rung() && !outbox.is_rung());
    }
}
