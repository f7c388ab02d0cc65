#![doc = include_str!("../README.md")]
#![expect(clippy::panic, reason = "a test kit fails by panicking, with a message that explains itself")]

#[path = "../chaos/mod.rs"]
pub mod chaos;
pub mod day;
pub mod house;
pub mod http;
pub mod memory;
pub mod model;
pub mod node;
mod process;
pub mod proxy;
pub mod servers;
pub mod slack;
pub mod vendor;
pub mod wait;
