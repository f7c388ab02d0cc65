//! Anthropic's Messages API, by hand over `reqwest`: there is no official SDK in Rust.
//!
//! - `open`: from an agent's file to the provider; `model`: the provider; `options`: where it is, who we are to it, and how it is to be used
//! - `request`: a question as JSON; `turns`: the conversation; `cache`: what is to be remembered, and where the marks stand
//! - `call`: one exchange; `answer` and `block`: events to the answer; `usage`: tokens, normalised
//! - `failure`: status, type and code to an error
//!
//! Both versions of the API are spoken: `2026-10-21`, which refuses every sampling parameter, and `2023-06-01`.

mod answer;
mod block;
mod cache;
mod call;
mod failure;
mod model;
mod open;
mod options;
mod request;
mod turns;
mod usage;

#[cfg(test)]
mod tests;

pub(crate) use model::Anthropic;
pub(crate) use open::{DEFAULT_MODEL, key_name, open};
use options::{Options, parse_base_url};
