//! From a status to an error that says what to do.

use std::time::Duration;

use greenroom_contract::port::llm::Error;
use serde_json::Value;

use super::{Options, model::PROVIDER};
use crate::llm::wire::words;

/// Ollama has no codes. That what was asked does not fit into the context is only said in words (of its own and of the
/// engine below it), and what follows from it differs so much from other refusals that here, for once, words decide.
const TOO_LONG: [&str; 3] = ["exceed_context_size_error", "context length", "context size"];

/// The text of an error body, or of an error line.
pub(super) fn said(body: &[u8]) -> String {
    let json = serde_json::from_slice::<Value>(body).ok();
    let text = json.as_ref().and_then(|json| json.get("error")).map(|error| match error {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    text.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned())
}

/// The error of a response that is not a success, or of a line in a stream (500).
pub(super) fn of(options: &Options, status: u16, retry_after: Option<Duration>, said: &str) -> Error {
    let provider = PROVIDER.to_owned();
    let key = options.authorization.as_ref().and_then(|value| value.to_str().ok());
    let text = words(said, key.and_then(|sent| sent.strip_prefix("Bearer ")));
    let message = if text.is_empty() { format!("HTTP {status}") } else { format!("{text} (HTTP {status})") };
    match status {
        401 | 403 => Error::Authentication {
            provider,
            message: match key {
                Some(_) => format!("the key in {} was refused (HTTP {status})", options.key_name),
                None => format!("it wants a key and {} is not set (HTTP {status})", options.key_name),
            },
        },
        402 => Error::QuotaExhausted { provider, message },
        404 => Error::InvalidRequest {
            provider,
            message: format!("{message}; `ollama pull {}` brings a model that is not there", options.model),
        },
        413 => Error::ContextTooLong { provider, message },
        429 => Error::RateLimited { provider, message, retry_after },
        400.. if TOO_LONG.iter().any(|words| text.contains(words)) => Error::ContextTooLong { provider, message },
        // 503 is its queue, which is full.
        500.. if retry_after.is_some() => Error::RateLimited { provider, message, retry_after },
        408 | 425 | 500.. => Error::Unavailable { provider, message },
        _ => Error::InvalidRequest { provider, message },
    }
}
