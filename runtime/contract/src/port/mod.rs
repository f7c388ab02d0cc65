//! The ports: what the machine needs from outside, and what the doors need from the machine.

mod broadcast;
pub mod bus;
mod lane;
pub mod llm;
mod llm_error;
pub mod memory;
pub mod operator;
pub mod reply;
pub mod state;
mod task;
pub mod tool;
