//! From a status, a type and a code to an error that says what to do. The words of a message never decide.

use std::time::Duration;

use greenroom_contract::port::llm::Error;
use serde_json::Value;

use super::{Options, model::PROVIDER};
use crate::llm::wire::words;

/// Codes of money that is spent, which waiting does not mend.
const SPENT: [&str; 3] = ["enforced_spend_limit_reached", "credit_balance_exhausted", "credit_balance_too_low"];

/// The API's own account of what went wrong.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    kind: String,
    code: String,
    message: String,
}

impl Said {
    /// Reads an error's body, or the error event of a stream.
    pub(super) fn read(body: &Value) -> Self {
        let error = &body["error"];
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (kind, code) = (word(&error["type"]), word(&error["details"]["error_code"]));
        let message = error.as_str().map_or_else(|| word(&error["message"]), str::to_owned);
        Self { kind, code, message }
    }

    /// Reads a body that should be JSON but need not be.
    pub(super) fn read_bytes(body: &[u8]) -> Self {
        match serde_json::from_slice(body) {
            Ok(json) => Self::read(&json),
            Err(_) => Self { message: String::from_utf8_lossy(body).into_owned(), ..Self::default() },
        }
    }
}

/// What the headers of a refusal say.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Advice {
    /// How long to wait.
    pub(super) retry_after: Option<Duration>,
    /// Whether trying again may help (`x-should-retry`).
    pub(super) should_retry: Option<bool>,
}

/// The error of a response that is not a success.
pub(super) fn of_response(options: &Options, status: u16, advice: Advice, said: &Said) -> Error {
    let provider = PROVIDER.to_owned();
    let message = message(options, status, said);
    let retry_after = advice.retry_after;
    if SPENT.contains(&said.code.as_str()) || said.kind == "billing_error" {
        return Error::QuotaExhausted { provider, message };
    }
    match (status, advice.should_retry) {
        // Not the server's words: some repeat the key.
        (401 | 403, _) => Error::Authentication {
            provider,
            message: match options.credentials {
                Some(_) => format!("the key in {} was refused (HTTP {status})", options.key_name),
                None => format!("it wants a key and {} is not set (HTTP {status})", options.key_name),
            },
        },
        (402, _) => Error::QuotaExhausted { provider, message },
        (413, _) => Error::ContextTooLong { provider, message },
        // A limit that waiting does not lift is a quota.
        (429, Some(false)) => Error::QuotaExhausted { provider, message },
        (429, _) => Error::RateLimited { provider, message, retry_after },
        (..500, Some(false)) => Error::InvalidRequest { provider, message },
        // An overloaded server that says when to come back is waited for like one that counts requests.
        (500.., _) | (_, Some(true)) if retry_after.is_some() => Error::RateLimited { provider, message, retry_after },
        (408 | 409 | 425 | 500.., _) | (_, Some(true)) => Error::Unavailable { provider, message },
        _ => Error::InvalidRequest { provider, message },
    }
}

/// The error of an error event, in a stream that had begun with HTTP 200.
pub(super) fn of_stream(options: &Options, said: &Said) -> Error {
    let status = match said.kind.as_str() {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        // After a success status an unknown error is the server's, not ours.
        _ => 500,
    };
    of_response(options, status, Advice::default(), said)
}

fn message(options: &Options, status: u16, said: &Said) -> String {
    let text = words(&said.message, options.sent_key());
    let kind = [&said.kind, &said.code].into_iter().filter(|word| !word.is_empty());
    let kind = kind.map(|word| format!(" {}", words(word, options.sent_key())));
    let kind: String = kind.collect();
    match text.is_empty() {
        true => format!("HTTP {status}{kind}"),
        false => format!("{text} (HTTP {status}{kind})"),
    }
}
