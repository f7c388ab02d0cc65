//! OpenAI, and every server that speaks its chat completions: written over `reqwest`, because the SDK spawns an unnamed
//! task with an unbounded channel per stream, writes what it cannot parse (an answer) to the log, and hides both
//! `retry-after` and the comments by which servers say that they are alive.
//!
//! - `model`: the provider; `options`: where it is and how it is spoken to
//! - `request`: a question as JSON; `call`: one HTTP exchange under the limit of silence
//! - `sse`: bytes to events; `answer` and `tool_calls`: events to the answer; `usage`: tokens, normalised
//! - `failure`: status and code to an error; `retry_after`: how long it asks to wait
//! - `listed`: which models a server has

mod answer;
mod call;
mod failure;
mod listed;
mod model;
mod options;
mod request;
mod retry_after;
mod sse;
mod tool_calls;
mod usage;

#[cfg(test)]
mod tests;

pub(crate) use listed::listed_models;
pub(crate) use model::OpenAi;
pub(crate) use options::{Dialect, Options, bearer, parse_base_url};
