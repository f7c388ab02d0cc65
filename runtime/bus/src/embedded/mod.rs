//! The bus of a single machine, over SQLite.
//!
//! * `bus` is what others hold: the port's methods and the start;
//! * `topology` and `routes` know which queues there are and which topics reach them;
//! * `publish` writes and confirms;
//! * `queue`, `shelf`, `outlet` and `dispatch` bring a queue's messages to its consumers;
//! * `hold` and `token` are a message that is out, and its settling;
//! * `core` is what all of them share, `rows` holds every statement, `schema` the tables.

mod arrivals;
mod bus;
mod core;
mod dispatch;
mod hold;
mod outlet;
mod publish;
mod queue;
mod routes;
mod rows;
mod schema;
mod shelf;
#[cfg(test)]
mod shelf_model;
#[cfg(test)]
mod tests;
mod token;
mod topology;

pub use bus::EmbeddedBus;
pub use core::{DELIVERY_LIMIT, Options};
pub use schema::MIGRATIONS;
