//! Models. Each provider implements [`greenroom_contract::port::llm::Llm`]; so does each layer above them.
//!
//! ```text
//! registry ─ builds ─► structured ─► fallback ─► retry ─► openai
//!                                        │         └ asks limits before each attempt, and tells how it ended
//!                                        ├──────► retry ─► ollama
//!                                        └──────► scripted (never retried: a script says the same again)
//! ```
//!
//! - `registry`: from an agent's `llm_config` to a provider that can be asked, or the reason why there is none
//! - `structured`: answers in a form; `fallback`: the next model when this one cannot answer; `retry`: the only retry
//!   engine; `limits`: what all agents share towards a provider, its rate limits and its circuit breaker
//! - `priced`: the operator's price in the place of the table's; `form`: asking for a form in words; `modest`: leaving out
//!   what a model does not take
//! - `anthropic`: Anthropic's Messages API; `bedrock`: Amazon Bedrock's Converse
//! - `thought`, `prompt_cache`: how hard a model thinks and how long a provider remembers, for those two
//! - `openai`: OpenAI and every server that speaks like it; `ollama`: Ollama's own API; `scripted`: the stand-in without a
//!   model
//! - `wire`: what providers over HTTP share; `generator`: streams written as plain `async` code; `estimate`: tokens, when
//!   nobody counts them

mod anthropic;
mod bedrock;
mod estimate;
mod fallback;
mod form;
mod generator;
mod http;
mod limits;
mod modest;
mod ollama;
mod openai;
mod priced;
mod prompt_cache;
mod registry;
mod retry;
mod scripted;
pub mod structured;
mod thought;
mod wire;

#[cfg(test)]
mod testing;

pub use http::http_client;
pub(crate) use http::{describe, http_client_builder, no_http_client, shown};
pub use registry::Providers;
