//! OpenAI, and every server that speaks like it: written over `reqwest`, because the SDK spawns an unnamed task with an
//! unbounded channel per stream, writes what it cannot parse (an answer) to the log, and hides both `retry-after` and the
//! comments by which servers say that they are alive.
//!
//! - `model`: the provider; `options`: where it is, how it is spoken to, and by which of the two APIs
//! - `responses`: the Responses API, OpenAI's own; `chat`: chat completions, for everyone else
//! - `door`: one request; `listen`: its answer, event by event
//! - `failure`: status and code to an error; `arguments`: what a tool is to be called with; `schema`: what is to be
//!   answered in
//! - `listed`: which models a server has

mod arguments;
mod chat;
mod door;
mod failure;
mod listed;
mod listen;
mod model;
mod options;
mod responses;
mod schema;

#[cfg(test)]
mod testing;

pub(crate) use listed::listed_models;
pub(crate) use model::OpenAi;
pub(crate) use options::{Api, Dialect, Options, bearer, parse_base_url};
