//! The ledger of a subscription: what is out of it, on its present channel, and not settled.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::token::Held;

/// What is out of one subscription.
#[derive(Debug)]
pub(super) struct Ledger {
    /// What others call the queue.
    name: String,
    /// What the broker calls it.
    queue: String,
    /// Where what is rejected goes: the queue that has the name now.
    back: String,
    out: Mutex<Out>,
    pub(super) bell: Notify,
    /// Ends the subscription.
    pub(super) quit: CancellationToken,
    /// The broker sends nothing more.
    pub(super) ended: CancellationToken,
}

#[derive(Debug, Default)]
struct Out {
    epoch: u64,
    open: HashMap<u64, Arc<Held>>,
    returned: Vec<u64>,
    /// How many went back to the broker's queue.
    requeued: u64,
}

impl Ledger {
    pub(super) fn new(name: &str, queue: &str, back: &str) -> Self {
        let (name, queue, back) = (name.to_owned(), queue.to_owned(), back.to_owned());
        let (quit, ended) = (CancellationToken::new(), CancellationToken::new());
        Self { name, queue, back, out: Mutex::default(), bell: Notify::new(), quit, ended }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn queue(&self) -> &str {
        &self.queue
    }

    pub(super) fn back(&self) -> &str {
        &self.back
    }

    /// How many are not settled.
    pub(super) fn open(&self) -> u64 {
        self.lock().open.len() as u64
    }

    /// Whether nothing is out and nothing is on its way back to the queue.
    pub(super) fn is_idle(&self) -> bool {
        let out = self.lock();
        out.open.is_empty() && out.requeued == 0
    }

    pub(super) fn has(&self, held: &Held) -> bool {
        let out = self.lock();
        out.epoch == held.epoch && out.open.contains_key(&held.number)
    }

    pub(super) fn settled(&self, held: &Held) {
        let mut out = self.lock();
        if out.epoch == held.epoch {
            out.open.remove(&held.number);
            drop(out);
            self.bell.notify_one();
        }
    }

    /// For whoever drops a delivery: never waits, and there are no more of these than deliveries that are out.
    pub(super) fn give_back(&self, held: &Held) {
        let mut out = self.lock();
        if out.epoch == held.epoch {
            out.returned.push(held.number);
            drop(out);
            self.bell.notify_one();
        }
    }

    pub(super) fn begin(&self) -> u64 {
        let mut out = self.lock();
        *out = Out { epoch: out.epoch + 1, requeued: out.requeued, ..Out::default() };
        out.epoch
    }

    pub(super) fn take_returned(&self) -> Vec<Arc<Held>> {
        let mut out = self.lock();
        let returned = std::mem::take(&mut out.returned);
        returned.iter().filter_map(|number| out.open.get(number).cloned()).collect()
    }

    /// A message has come: it is out.
    pub(super) fn came(&self, held: &Arc<Held>) {
        self.lock().open.insert(held.number, Arc::clone(held));
    }

    /// A message has come that nobody wants any more. Its number is one that no other has.
    pub(super) fn came_too_late(&self, held: Arc<Held>) {
        let mut out = self.lock();
        out.returned.push(held.number);
        out.open.insert(held.number, held);
    }

    /// These were not handed out, and go back.
    pub(super) fn not_wanted(&self, numbers: impl Iterator<Item = u64>) {
        self.lock().returned.extend(numbers);
    }

    /// It is back in the broker's queue.
    pub(super) fn requeued(&self, held: &Held) {
        let mut out = self.lock();
        out.open.remove(&held.number);
        out.requeued += 1;
    }

    pub(super) fn epoch(&self) -> u64 {
        self.lock().epoch
    }

    fn lock(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
