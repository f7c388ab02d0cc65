//! The bus in memory. `queue` decides who gets what and is pure but for its channels; `core` holds the queues and the
//! tokens; `port` is the port.

mod core;
mod port;
mod queue;

pub use port::{DELIVERY_LIMIT, MemoryBus};
