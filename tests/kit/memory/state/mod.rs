//! The store in memory. `tables` holds the rows; the other files are the port's sections, each a set of transactions
//! that check everything first and change something only then, so that each happens wholly or not at all.

mod budget;
mod calls;
mod claims;
mod clarifications;
mod journal;
mod letters;
mod outbox;
mod plan_runs;
mod schedules;
mod shown;
mod states;
mod store;
mod sweep;
mod tables;

pub use store::MemoryState;
