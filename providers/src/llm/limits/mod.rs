//! What all agents of a node share towards a provider: limits of requests and tokens for each key, and a circuit breaker
//! for each model. `retry` asks before each attempt and tells how it ended.
//!
//! - `limits`: who shares what; `guard`: what stands before one model
//! - `account`: one key's limits and the line of those who wait; `bucket`: so many a minute; `heard`: what servers tell
//! - `breaker`: who fails again and again is left alone for a while, a pure decision
//! - `board`: all of it in the supervision tree, under `providers`

mod account;
mod board;
mod breaker;
mod bucket;
mod guard;
mod heard;
mod registry;
#[cfg(test)]
mod tests;

pub(crate) use account::Account;
pub(crate) use guard::Guard;
pub(crate) use registry::{Limits, Whose};
