//! The caretaker's services: small periodic duties of a node, each idempotent and reading the truth anew.
//!
//! * [`store_monitor`] renews the node's lease and keeps a current answer to "do store and bus work?".
//! * [`dead_letters`] carries what died on the bus into the store, where operators find it.

mod dead_letters;
mod monitor;

pub use dead_letters::dead_letters;
pub use monitor::{LEASE, Vitals, store_monitor};
