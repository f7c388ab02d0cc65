//! What the writer thread knows of a queue. Jobs for that thread hold this and not the queue: a queue leads to deliveries,
//! they lead to the database, and the database must not be closed by its own thread.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// How many priorities there are.
pub(super) const PRIORITIES: usize = 4;

/// A message that a job wrote, with the one before it in its queue and priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Landed {
    pub(super) id: i64,
    /// By it the shelf sees whether it knows all that came before. It may name a message whose job was undone.
    pub(super) previous: i64,
}

#[derive(Debug)]
pub(super) struct Arrivals {
    queue: i64,
    /// The newest message of each priority that a job wrote, committed or not.
    newest: Mutex<[i64; PRIORITIES]>,
    deleted: AtomicBool,
}

impl Arrivals {
    pub(super) fn new(queue: i64, newest: [i64; PRIORITIES]) -> Self {
        Self { queue, newest: Mutex::new(newest), deleted: AtomicBool::new(false) }
    }

    /// The queue's key in the database.
    pub(super) fn queue(&self) -> i64 {
        self.queue
    }

    pub(super) fn land(&self, priority: u8, id: i64) -> Landed {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        Landed { id, previous: std::mem::replace(&mut newest[usize::from(priority)], id) }
    }

    pub(super) fn newest(&self) -> [i64; PRIORITIES] {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a job removed the queue: jobs behind it must not write to it any more.
    pub(super) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    pub(super) fn set_deleted(&self, deleted: bool) {
        self.deleted.store(deleted, Ordering::Release);
    }
}
