//! The tools that Greenroom brings.
//!
//! - `emit_event`: sends an event with the transaction that finishes the execution
//! - `current_time`: tells the date and time
//! - `table`: which is which

mod current_time;
mod emit_event;
mod table;

pub(super) use table::{call, spec};
