//! The store on SQLite, for embedded nodes.
//!
//! One file for each station of an event: `submit` (the door), `relay` (outbox to bus), `inbox`, `claim` (and
//! `nodes`), `journal`, `finish`; beside them the agents' own (`checkpoint`, `usage`, `budget`), the questions (`queries`), `schedules`, what is old (`sweep`) and
//! `dead` letters. `clarifications` are the questions to people, `calls` those to other agents.
//! `row` is how an outbox row is written, `job` and `columns` are how a statement meets SQLite.

mod budget;
mod calls;
mod checkpoint;
mod claim;
mod clarifications;
mod columns;
mod dead;
mod finish;
mod inbox;
mod job;
mod journal;
mod memory;
mod nodes;
mod plan_runs;
mod queries;
mod relay;
mod row;
mod schedules;
mod schema;
mod states;
mod steps;
mod store;
mod submit;
mod sweep;
mod undelivered;
mod usage;

#[cfg(test)]
mod tests;

pub use schema::MIGRATIONS;
pub use store::SqliteState;
