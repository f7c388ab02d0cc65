//! The Responses API: OpenAI's own, and the only one by which its models of 2026 take tools while they think.
//!
//! Nothing is stored at OpenAI (`store: false`): what a model needs to go on thinking comes back to us encrypted, is kept
//! with the turn, and is handed back unchanged.
//!
//! - `request`: a question as JSON; `items`: the conversation in it; `ask`: the exchange
//! - `answer`: events to the answer; `usage`: tokens, normalised; `count`: tokens, before they are paid for

mod answer;
mod ask;
mod count;
mod items;
mod request;
#[cfg(test)]
mod tests;
mod usage;

pub(super) use ask::ask;
pub(super) use count::count;
