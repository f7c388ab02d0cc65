//! Ollama's own API: models on this machine, and those of its cloud.
//!
//! - `model`: the provider; `host`: where it listens, in all the forms that Ollama's own tools take
//! - `request`: a question as JSON; `ask`: the exchange, one JSON object a line; `answer`: lines to the answer
//! - `failure`: status to an error; `installed`: is it there, and which models has it

mod answer;
mod ask;
mod failure;
mod host;
mod installed;
mod model;
mod request;

#[cfg(test)]
mod tests;

pub(crate) use host::{is_cloud, parse_host};
pub(crate) use installed::{has, installed};
pub(crate) use model::{Ollama, Options};
