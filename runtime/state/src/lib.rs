#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod codec;
pub mod sqlite;
pub mod suite;

pub use sqlite::SqliteState;
