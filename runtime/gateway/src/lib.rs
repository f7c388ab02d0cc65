#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod doors;
mod http;
mod operator;
pub mod slack;
#[cfg(test)]
mod testing;
pub mod tree;
mod wire;

pub use doors::{DRAIN, Doors, router, serve};
