//! The machine on paused time: a whole node in process, without threads of its own, so that hours pass in milliseconds.
//!
//! `ports` shows that the store and the bus in memory keep the same promises as the real ones.

mod agents;
mod budget;
mod cluster;
mod continuity;
mod conversations;
mod day;
mod ports;
mod replies;
mod schedules;
mod supervision;
mod tools;
