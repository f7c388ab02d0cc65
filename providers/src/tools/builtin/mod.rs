//! The tools that Greenroom brings.
//!
//! - `emit_event`: sends an event with the transaction that finishes the execution
//! - `ask_agent`: asks another agent, and waits
//! - `ask_human`: asks a person, and waits
//! - `current_time`: tells the date and time
//! - `http_fetch`: reads from the web, from named hosts only
//! - `memory`: `remember` and `recall`, what the agent keeps in mind
//! - `table`: which is which

mod ask_agent;
mod ask_human;
mod current_time;
mod emit_event;
mod http_fetch;
mod memory;
mod table;

pub(super) use table::Ready;
