//! Small fake ports for this crate's own tests: a store and a bus in memory, an outfitter whose agents do as told.

mod bed;
mod bus;
mod plan_runs;
mod schedules;
mod states;
mod store;

pub(crate) use bed::Bed;
pub(crate) use store::{Fate, Store};
