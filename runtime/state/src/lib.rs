#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod call;
mod clarification;
mod codec;
mod letter;
mod page;
mod plan;
pub mod postgres;
mod raw;
pub mod redis;
mod refusal;
mod row;
pub mod sqlite;
pub mod suite;

pub use postgres::PostgresState;
pub use redis::{RedisTier, Tiered};
pub use sqlite::SqliteState;
