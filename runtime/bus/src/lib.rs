#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod amqp;
mod embedded;
mod finish;
pub mod suite;

pub use amqp::AmqpBus;
pub use embedded::{DELIVERY_LIMIT, EmbeddedBus, MIGRATIONS, Options};
