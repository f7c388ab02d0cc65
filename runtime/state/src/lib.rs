#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod codec;
mod letter;
mod page;
pub mod postgres;
mod raw;
mod refusal;
mod row;
pub mod sqlite;
pub mod suite;

pub use postgres::PostgresState;
pub use sqlite::SqliteState;
