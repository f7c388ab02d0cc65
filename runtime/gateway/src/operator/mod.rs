//! The operator's HTTP API: one file for each noun, one table of routes.
//!
//! * `routes`: which path leads where
//! * `health` · `tree` · `stream` · `agents` · `invoke` · `executions` · `clarifications` · `queues` · `dead_letters` · `tasks` · `plans` · `schedules` · `traces` · `events` · `usage`
//! * `registry`: agents as the list shows them; `cursor`, `settled`: what the stream tells, and where a reader is
//! * `states`, `moving`, `archive`: agents' states, looked at, set back, and as documents that leave and come
//! * `later`: paths that are promised and not built yet (501)
//! * `redact`: what must not leave by the API

mod agents;
mod archive;
mod clarifications;
mod cursor;
mod dead_letters;
mod events;
mod executions;
mod health;
mod invoke;
mod later;
mod moving;
mod nodes;
mod plans;
#[cfg(test)]
mod plans_tests;
mod queues;
mod redact;
mod registry;
mod routes;
mod schedules;
mod settled;
mod states;
#[cfg(test)]
mod states_tests;
mod stream;
#[cfg(test)]
mod stream_tests;
mod tasks;
#[cfg(test)]
mod tests;
mod traces;
mod tree;
mod usage;
#[cfg(test)]
mod verbs_tests;

pub(crate) use routes::routes;
