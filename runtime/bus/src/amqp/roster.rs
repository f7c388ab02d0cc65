//! All consumers of this bus, by queue.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::time::timeout;

use super::{ledger::Ledger, options::CALL};

#[derive(Debug, Default)]
pub(super) struct Roster {
    ledgers: Mutex<HashMap<String, Vec<Weak<Ledger>>>>,
}

impl Roster {
    pub(super) fn add(&self, ledger: &Arc<Ledger>) {
        let mut ledgers = self.lock();
        let of_queue = ledgers.entry(ledger.name().to_owned()).or_default();
        of_queue.retain(|ledger| ledger.strong_count() > 0);
        of_queue.push(Arc::downgrade(ledger));
    }

    /// How many deliveries of a queue are out here, and how many consumers take them.
    pub(super) fn counts(&self, queue: &str) -> (u64, u32) {
        let ledgers = self.of(queue);
        let consumers = ledgers.iter().filter(|ledger| !ledger.ended.is_cancelled()).count();
        (ledgers.iter().map(|ledger| ledger.open()).sum(), u32::try_from(consumers).unwrap_or(u32::MAX))
    }

    /// Ends a queue's consumers, and says whether nothing of theirs is out or went back.
    pub(super) async fn dismiss(&self, queue: &str) -> bool {
        let ledgers = self.of(queue);
        ledgers.iter().for_each(|ledger| ledger.quit.cancel());
        for ledger in &ledgers {
            if timeout(CALL, ledger.ended.cancelled()).await.is_err() {
                return false;
            }
        }
        ledgers.iter().all(|ledger| ledger.is_idle())
    }

    fn of(&self, queue: &str) -> Vec<Arc<Ledger>> {
        self.lock().get(queue).into_iter().flatten().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Weak<Ledger>>>> {
        self.ledgers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
