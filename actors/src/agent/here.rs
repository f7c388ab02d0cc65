//! Whether an agent's queue leads to this node.

use std::sync::atomic::{AtomicU64, Ordering};

use greenroom_contract::port::bus::Bus;

/// Of nodes that consume a queue in order the broker serves one, and does not say which: the one that was handed something
/// last, on the connection that it still has. Shared by whoever takes from the queue, the agent awake or asleep.
#[derive(Default)]
pub(crate) struct Here(AtomicU64);

impl Here {
    /// A delivery has come.
    pub(crate) fn served(&self, bus: &dyn Bus) {
        if !bus.is_shared() {
            // Where nobody else can be, nobody asks.
            return;
        }
        self.0.store(connection(bus), Ordering::Relaxed);
    }

    /// Somebody else may be served: the consumer has ended.
    pub(crate) fn ended(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    pub(crate) fn leads(&self, bus: &dyn Bus) -> bool {
        !bus.is_shared() || self.0.load(Ordering::Relaxed) == connection(bus)
    }
}

/// Which connection the bus is at, from 1.
fn connection(bus: &dyn Bus) -> u64 {
    *bus.reconnects().borrow() + 1
}
