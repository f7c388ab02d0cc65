//! The behaviour suite of the bus port. Every implementation runs it: [`bus_suite!(make)`](crate::bus_suite), where
//! `make` is an async function that gives a fresh [`Stage`].
//!
//! A stage's bus may be shared with other tests as far as queues and topics go (each behaviour uses names of its own); its
//! dead letters may not.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a behaviour is a test: it panics where the promise is broken"
)]
#![expect(missing_docs, reason = "a behaviour says what it checks by its name")]

pub mod broadcast;
pub mod death;
pub mod delivery;
mod list;
pub mod restart;
pub mod routing;
pub mod sharing;
pub mod stage;

pub use stage::{Priorities, Stage};
