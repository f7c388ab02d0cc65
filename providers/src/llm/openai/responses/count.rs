//! How many tokens a request has, as OpenAI counts them. Counting costs nothing.

use bytes::Bytes;
use greenroom_contract::port::llm::{Error, Request};
use serde::Deserialize;

use super::request::to_count;
use crate::llm::openai::door::Door;

#[derive(Deserialize)]
struct Count {
    input_tokens: u64,
}

/// Asks for the exact number of input tokens.
pub(in crate::llm::openai) async fn count(door: &Door<'_>, request: &Request) -> Result<u64, Error> {
    let json = to_count(door.options, request);
    let response = door.post("responses/input_tokens", &request.idempotency_key, &json).await?;
    let body = door.exchange.body(response).rest(Bytes::new()).await?;
    let count: Count = serde_json::from_slice(&body)
        .map_err(|error| door.exchange.unavailable(format!("its count is not readable ({error})")))?;
    Ok(count.input_tokens)
}
