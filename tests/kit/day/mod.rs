//! A day in the life of a house, on paused time: events, failures, panics, reloads, agents that come and go, pauses,
//! outages of store and bus, and restarts of the node, as a seed has it.
//!
//! [`day`] plays it and checks after each hour and at the end that nothing was lost, made twice or left behind. The same
//! seed makes the same things happen at the same moments; backoffs keep the jitter that they have in life.

mod cast;
mod checks;
mod dice;
mod life;
mod plan;

pub(crate) use dice::Dice;
pub use life::{Summary, day};
