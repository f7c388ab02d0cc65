#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod duration;
pub mod env;
pub mod spec;

pub use duration::HumanDuration;
pub use env::Environment;
pub use spec::AgentSpec;
