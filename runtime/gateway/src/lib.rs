#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod doors;
mod http;
mod operator;
mod serve;
pub mod slack;
#[cfg(test)]
mod testing;
pub mod tree;
mod wire;

pub use doors::{Doors, router};
pub use serve::{DRAIN, HEAD, serve};
