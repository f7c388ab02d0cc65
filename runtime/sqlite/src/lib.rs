#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod database;
mod error;
mod migrate;
mod reader;
mod writer;

pub use database::{Database, Failed};
pub use error::Error;
pub use migrate::Migration;
pub use rusqlite;
