//! The behaviour suite of the bus port. Every implementation runs it: `bus_suite!(make)`, where `make` is an async
//! function that gives a fresh [`Stage`].
//!
//! A stage's bus may be shared with other tests as far as queues and topics go (each behaviour uses names of its own); its
//! dead letters may not.

pub(crate) mod death;
pub(crate) mod delivery;
mod list;
pub(crate) mod restart;
pub(crate) mod routing;
pub(crate) mod sharing;
pub(crate) mod stage;

pub(crate) use list::bus_suite;
pub(crate) use stage::Stage;
