//! Chat completions: what nearly every server speaks.
//!
//! - `request`: a question as JSON; `messages`: the conversation in it; `ask`: the exchange
//! - `answer` and `tool_calls`: events to the answer; `usage`: tokens, normalised

mod answer;
mod ask;
mod messages;
mod request;
mod tool_calls;
mod usage;

#[cfg(test)]
mod tests;

pub(super) use ask::ask;
