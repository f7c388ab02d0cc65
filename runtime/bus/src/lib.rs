#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod embedded;
pub mod suite;

pub use embedded::{DELIVERY_LIMIT, EmbeddedBus, MIGRATIONS, Options};
