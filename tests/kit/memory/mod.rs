//! Bus and store in memory, for tests on paused time.
//!
//! The embedded adapters have threads of their own, which look idle to tokio: its paused clock would jump while they
//! write. These have none. They keep the same promises, shown by the same behaviour suites (`tests/it/sim/ports.rs`),
//! except durability, and can be switched off and slowed down ([`Faults`]).

mod bus;
mod clock;
mod faults;
mod state;

pub use bus::{DELIVERY_LIMIT, MemoryBus};
pub use clock::PausedClock;
pub use faults::Faults;
pub use state::MemoryState;
