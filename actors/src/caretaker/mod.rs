//! The caretaker's services: small periodic duties of a node, each idempotent and reading the truth anew.
//!
//! * [`store_monitor`] renews the node's lease and keeps a current answer to "do store and bus work?".
//! * [`dead_letters`] carries what died on the bus into the store, where operators find it.
//! * [`deadlines`] ends the questions that nobody answered in time, on nodes with the role orchestrator.
//! * [`housekeeping`] deletes what is older than it has to be kept, on nodes with the role orchestrator.
//! * [`stuck`] tells of plan runs that are past their deadline, on nodes with the role orchestrator.
//! * [`topology`] declares every agent's queue ahead, on nodes with the role orchestrator.

mod dead_letters;
mod deadlines;
mod housekeeping;
mod lease;
mod monitor;
mod stuck;
mod topology;

pub use dead_letters::dead_letters;
pub use deadlines::deadlines;
pub use housekeeping::housekeeping;
pub use lease::{LEASE, Lease};
pub use monitor::{Ask, Vitals, store_monitor};
pub use stuck::stuck;
pub use topology::topology;
