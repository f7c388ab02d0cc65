#![doc = include_str!("../README.md")]

pub mod agent;
pub mod allowance;
pub mod caretaker;
pub mod cluster;
pub mod ends;
pub mod execution;
mod fault;
pub mod lifecycle;
pub mod orchestrator;
pub mod outbox;
mod plan;
pub mod porter;
pub mod ports;
pub mod relay;
pub mod scheduler;
pub mod service;
pub mod sorter;
pub mod supervisor;
#[cfg(test)]
mod testing;
pub mod watchdog;

/// A random number in 0..1 for backoffs: spreads restarts, decides nothing else.
fn jitter() -> f64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let random = RandomState::new().build_hasher().finish();
    (random >> 11) as f64 / (1_u64 << 53) as f64
}
