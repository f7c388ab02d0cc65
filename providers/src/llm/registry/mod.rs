//! From an agent's `llm_config` to a provider that can be asked, or the reason why there is none.
//!
//! - `providers`: the registry, the fallback chain and `auto`
//! - `openai`, `ollama`: what each needs to know of the environment

mod ollama;
mod openai;
mod providers;
#[cfg(test)]
mod tests;

pub use providers::Providers;
