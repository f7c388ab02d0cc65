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
