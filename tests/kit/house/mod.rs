//! A whole node in this process, without HTTP and SQLite, for tests on paused time.
//!
//! A [`World`] is what outlives a node: the store and the bus in memory, and a model that does what the test tells it
//! ([`Act`]). [`World::open`] starts a node in it, a [`House`], out of the real supervisors, orchestrator, relay and
//! caretakers. [`House::close`] takes it down and fails if anything was left behind.

mod cast;
mod chat;
mod ending;
mod model;
mod tools;
mod up;
mod verbs;
mod world;

pub use chat::Chat;
pub use ending::Closed;
pub use model::{Act, Asked, Gate, Load, Model, Price};
pub use up::House;
pub use world::World;
