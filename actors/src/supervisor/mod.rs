//! Supervision: who starts again, when, and when no more.
//!
//! Life: a [`Supervisor`] is started with no children; [`SupervisorHandle::add`] starts one and keeps it alive by its
//! policy and its siblings' [`Strategy`]; [`SupervisorHandle::remove`] stops one and forgets it, in whatever phase it is;
//! [`SupervisorHandle::stop_all`] stops all, the last started first. Every decision is made by the pure [`step`] and only
//! carried out here; ractor brings the events (started, ended, panicked) and nothing else. [`Breaker`] stands apart: it
//! tells a cause that hits many from members that are at fault themselves.

mod actor;
mod branch;
mod deeds;
mod event;
mod group;
mod handle;
mod message;
mod policy;
mod state;
mod step;
mod storm;
#[cfg(test)]
mod tests;

pub use actor::Supervisor;
pub use event::{Action, Event};
pub use handle::SupervisorHandle;
pub use message::{ChildSpec, Message, Rested, StartChild, StopChild};
pub use policy::{Exit, OnExhausted, Policy, Restart};
pub use state::{State, Strategy};
pub use step::step;
pub use storm::{Breaker, Pause, Rules as StormRules, Verdict};
