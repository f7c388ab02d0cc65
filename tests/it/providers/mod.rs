//! Providers against servers that speak as the vendors do: one list of behaviours, played in every dialect.
//!
//! - `subject`: a provider and the server that it is played against; `subjects`: all of them
//! - `suite`: the list; `answers`: what is said; `faults`: what goes wrong, and how often it is tried again;
//!   `waits`: when; `money`: what it costs, against a table that was not made by this code;
//!   `wires`: what only one vendor has
//! - `one_yaml`: the same agent in a whole node, over every wire
//! - `shared`: limits, breakers and forms, among several agents
//!
//! To add a provider: a dialect in `tests/kit/vendor`, and a line in `subjects`.

mod answers;
mod faults;
mod money;
mod one_yaml;
mod shared;
mod subject;
mod subjects;
mod suite;
mod waits;
mod wires;
