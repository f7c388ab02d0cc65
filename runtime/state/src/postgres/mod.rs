//! The store on PostgreSQL, for clusters.
//!
//! One file for each station of an event, as in `sqlite` beside it: `submit` (the door), `relay` (outbox to bus),
//! `inbox`, `claim` (and `nodes`), `journal`, `finish`; beside them the agents' own (`checkpoint`, `usage`, `budget`), the questions (`queries`), `schedules`, what is old (`sweep`)
//! and `dead` letters. `clarifications` are the questions to people, `calls` those to other agents. The statements that take many requests at once are in `statements/`.
//!
//! How a statement meets PostgreSQL: `options` and `server` make a connection, `schema` brings its tables up to date,
//! `readers` ask, `lanes` write. A lane is a task with a connection of its own: it takes what waits and writes it
//! together (`ask`), so that no caller who is dropped ever cancels a database call, and so that one round trip and one
//! commit serve many. `fault` says what went wrong, `doubt` takes back what was claimed for nobody. `scratch` makes a whole database for a test, and drops it.

mod ask;
mod budget;
mod calls;
mod checkpoint;
mod claim;
mod clarifications;
mod columns;
mod dead;
mod disk;
mod doubt;
mod fault;
mod finish;
mod inbox;
mod inspect;
mod journal;
mod lanes;
mod memory;
mod nodes;
mod options;
mod plan_runs;
mod queries;
mod readers;
mod relay;
mod row;
mod schedules;
mod schema;
mod scratch;
mod server;
mod settling;
mod states;
mod steps;
mod store;
mod submit;
mod sweep;
mod undelivered;
mod usage;

pub use inspect::inspect;
pub use options::{Options, Time};
pub use scratch::{create_database, drop_database};
pub use store::PostgresState;
