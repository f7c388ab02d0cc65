#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod llm;
pub mod pricing;
pub mod tools;
mod unusable;

pub use llm::{Providers, http_client};
pub use unusable::Unusable;
