//! Models. Each provider implements [`greenroom_contract::port::llm::Llm`]; so does each layer above them.
//!
//! ```text
//! registry ─ builds ─► fallback ─► retry ─► openai
//!                          └─────► retry ─► scripted (never retried: a script says the same again)
//! ```
//!
//! - `registry`: from an agent's `llm_config` to a provider that can be asked, or the reason why there is none
//! - `retry`: the only retry engine; `fallback`: the next model when this one cannot answer
//! - `openai`: OpenAI and every server that speaks its chat completions; `scripted`: the stand-in without a model
//! - `wire`: what providers over HTTP share; `generator`: streams written as plain `async` code; `estimate`: tokens, when
//!   nobody counts them

mod estimate;
mod fallback;
mod generator;
mod http;
mod openai;
mod registry;
mod retry;
mod scripted;
mod wire;

#[cfg(test)]
mod registry_tests;
#[cfg(test)]
mod testing;

pub use http::http_client;
pub(crate) use http::{http_client_builder, shown};
pub use registry::Providers;
