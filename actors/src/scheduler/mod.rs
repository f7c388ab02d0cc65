//! The scheduler: agents that wake by themselves.
//!
//! Life: a service on every node with the role scheduler reads the schedules' rows, sleeps until the next one is due, and asks
//! the store to fire it, which the store does once however many ask ([`scheduler`], `desk`). What fires is an event under
//! `scheduled.tasks`; another service, on nodes with the role orchestrator, takes it from there to the agent ([`caller`]).
//! Pure: `timetable` knows the times, `step` what follows when one is due, `event` what is said.

mod caller;
mod desk;
mod event;
mod run;
mod step;
#[cfg(test)]
mod tests;
mod timetable;

pub use caller::caller;
pub(crate) use event::{SOURCE, event_of};
pub use run::scheduler;
pub use timetable::{Timetable, Unusable};
