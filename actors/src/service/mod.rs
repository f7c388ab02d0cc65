//! Services: long-lived tasks of the node (relay, doors, watchers) as supervised children.
//!
//! Life: a service actor starts its task and watches it; the task ends only when its token is cancelled; a task that
//! ends by itself, with an error or in a panic takes the actor with it, and the supervisor starts the next generation.

mod actor;
mod every;

pub use actor::service;
pub(crate) use every::every;
