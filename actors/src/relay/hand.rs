//! What a loop has in its hand.

use std::collections::{HashMap, HashSet};

use greenroom_contract::port::state::{OutboxId, OutboxRow};

/// Rows that were claimed or handed over. After a long absence the store hands out again what is on its way here.
#[derive(Debug, Default)]
pub(super) struct Hand {
    /// Rows of which the store may not know yet what became of them, with the tries of each before this one.
    held: HashMap<OutboxId, u32>,
    /// Those of which it knows by now. A claim that is under way may have been answered before, and still bring them.
    settled: HashSet<OutboxId>,
}

impl Hand {
    /// Takes rows up, those apart that are in hand already.
    pub(super) fn take_up(&mut self, mut rows: Vec<OutboxRow>) -> Vec<OutboxRow> {
        rows.retain(|row| match self.held.insert(row.id, row.attempts) {
            None => true,
            // It was given back to be tried again, and its time has come.
            Some(before) if before < row.attempts => {
                self.settled.remove(&row.id);
                true
            }
            Some(_) => false,
        });
        rows
    }

    /// The store knows what became of these.
    pub(super) fn settle(&mut self, ids: impl IntoIterator<Item = OutboxId>) {
        self.settled.extend(ids);
    }

    /// Rows that are settled may be handed out anew from here on. To be called directly before the store is asked for rows.
    pub(super) fn forget_settled(&mut self) {
        for id in self.settled.drain() {
            self.held.remove(&id);
        }
    }
}
