//! Amazon Bedrock, by Converse and ConverseStream through AWS's own SDK: it signs, resolves credentials and addresses, and
//! reads event-stream frames. Its retries are off, and the body of a request is ours.
//!
//! - `open`: from an agent's file and the environment to the provider; `client`: the SDK, set up
//! - `model`: the provider; `request`: a question as JSON; `turns`: the conversation; `cache`: where the marks stand
//! - `call`: one exchange; `answer`: events to the answer; `usage`: tokens, normalised; `failure`: what an error means
//!
//! The body is written as JSON here, and not through the SDK's types, because those keep JSON (a tool's schema) in hash
//! maps: its keys would stand in another order in each request, and the provider would recognise nothing of what it
//! remembered.

mod answer;
mod cache;
mod call;
mod client;
mod failure;
mod model;
mod open;
mod request;
mod turns;
mod usage;

#[cfg(test)]
mod tests;

pub(crate) use open::{DEFAULT_MODEL, Door, has_credentials};
