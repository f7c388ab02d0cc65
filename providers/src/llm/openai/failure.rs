//! From a status and a code to an error that says what to do. The words of a message never decide.

use std::time::Duration;

use greenroom_contract::port::llm::Error;
use serde_json::Value;

use crate::llm::wire::words;

/// Codes and types of a spent quota, which waiting does not mend.
const SPENT: [&str; 6] = [
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "billing_hard_limit_reached",
];
const TOO_LONG: [&str; 4] =
    ["context_length_exceeded", "string_above_max_length", "exceed_context_size_error", "max_context_length_exceeded"];
const REFUSED: [&str; 7] = [
    "content_filter",
    "content_policy_violation",
    "safety",
    "moderation_blocked",
    "bio_policy",
    "misalignment_policy_violation",
    "image_content_policy_violation",
];
/// Codes of a request that is wrong in itself, when they come in a stream that had begun with HTTP 200.
const INVALID: [&str; 12] = [
    "invalid_request_error",
    "invalid_api_key",
    "model_not_found",
    "invalid_prompt",
    "data_residency_mismatch",
    "invalid_image",
    "invalid_image_format",
    "invalid_base64_image",
    "image_too_large",
    "image_parse_error",
    "unsupported_image_media_type",
    "empty_image_file",
];

/// A server's own account of what went wrong.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Said {
    codes: Vec<String>,
    message: String,
    status: Option<u16>,
}

impl Said {
    /// Reads an error body, or the error object of a stream, in any of the forms that servers use.
    pub(super) fn read(body: &Value) -> Self {
        let error = body.get("error").filter(|error| !error.is_null()).unwrap_or(body);
        let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
        let codes = ["code", "type", "status"].into_iter().filter_map(text).collect();
        let message = error.as_str().map(str::to_owned).or_else(|| text("message")).or_else(|| text("detail"));
        // Some gateways put the status of the server behind them here, as a number.
        let status = ["code", "status"].into_iter().find_map(|name| error.get(name)?.as_u64());
        Self { codes, message: message.unwrap_or_default(), status: status.and_then(|number| number.try_into().ok()) }
    }

    /// Reads a body that should be JSON but need not be.
    pub(super) fn read_bytes(body: &[u8]) -> Self {
        match serde_json::from_slice(body) {
            Ok(json) => Self::read(&json),
            Err(_) => Self { message: String::from_utf8_lossy(body).trim().to_owned(), ..Self::default() },
        }
    }

    fn is_one_of(&self, known: &[&str]) -> bool {
        self.codes.iter().any(|code| known.contains(&code.as_str()))
    }
}

/// What the caller knows about the exchange.
pub(super) struct Circumstances<'a> {
    /// The provider's registry name.
    pub(super) provider: &'a str,
    /// The name of the variable that holds the key.
    pub(super) key_name: &'a str,
    /// The key as it was sent (`Bearer …`), to take it out of messages.
    pub(super) sent_key: Option<&'a str>,
}

/// The error of a response that is not a success.
pub(super) fn of_response(about: &Circumstances<'_>, status: u16, retry_after: Option<Duration>, said: &Said) -> Error {
    let provider = about.provider.to_owned();
    let message = message(about, status, said);
    if said.is_one_of(&TOO_LONG) {
        return Error::ContextTooLong { provider, message };
    }
    if said.is_one_of(&REFUSED) {
        return Error::Refused { provider, message };
    }
    if said.is_one_of(&SPENT) {
        return Error::QuotaExhausted { provider, message };
    }
    match status {
        // Not the server's words: some repeat the key.
        401 | 403 => Error::Authentication {
            provider,
            message: match about.sent_key {
                Some(_) => format!("the key in {} was refused (HTTP {status})", about.key_name),
                None => format!("it wants a key and {} is not set (HTTP {status})", about.key_name),
            },
        },
        402 => Error::QuotaExhausted { provider, message },
        413 => Error::ContextTooLong { provider, message },
        429 => Error::RateLimited { provider, message, retry_after },
        // An overloaded server that says when to come back is waited for like one that counts requests.
        500.. if retry_after.is_some() => Error::RateLimited { provider, message, retry_after },
        408 | 409 | 425 | 500.. => Error::Unavailable { provider, message },
        _ => Error::InvalidRequest { provider, message },
    }
}

/// The error of an error object in a stream that had begun with HTTP 200.
pub(super) fn of_stream(about: &Circumstances<'_>, said: &Said) -> Error {
    let status = match said.status {
        Some(status) if (400..600).contains(&status) => status,
        _ if said.is_one_of(&["rate_limit_exceeded", "rate_limit_error", "slow_down"]) => 429,
        _ if said.is_one_of(&INVALID) => 400,
        // After a success status an unknown error is the server's, not ours.
        _ => 500,
    };
    of_response(about, status, None, said)
}

fn message(about: &Circumstances<'_>, status: u16, said: &Said) -> String {
    let key = about.sent_key.and_then(|sent| sent.strip_prefix("Bearer "));
    let text = words(&said.message, key);
    let code = said.codes.first().map(|code| format!(" {}", words(code, key))).unwrap_or_default();
    match text.is_empty() {
        true => format!("HTTP {status}{code}"),
        false => format!("{text} (HTTP {status}{code})"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn about(sent_key: Option<&'static str>) -> Circumstances<'static> {
        Circumstances { provider: "openai", key_name: "OPENAI_API_KEY", sent_key }
    }

    fn code_of(status: u16, body: Value) -> &'static str {
        of_response(&about(None), status, None, &Said::read(&body)).code()
    }

    #[test]
    fn status_and_code_decide() {
        let error =
            |code: &str| json!({ "error": { "message": "words", "type": "invalid_request_error", "code": code } });
        assert_eq!(code_of(401, error("invalid_api_key")), "authentication");
        assert_eq!(code_of(403, json!({})), "authentication");
        assert_eq!(code_of(402, json!({})), "quota_exhausted");
        assert_eq!(code_of(429, error("rate_limit_exceeded")), "rate_limited");
        assert_eq!(code_of(429, error("insufficient_quota")), "quota_exhausted");
        assert_eq!(code_of(429, json!({ "error": { "type": "insufficient_quota", "code": null } })), "quota_exhausted");
        assert_eq!(code_of(400, error("context_length_exceeded")), "context_too_long");
        assert_eq!(code_of(429, error("slow_down")), "rate_limited");
        assert_eq!(code_of(429, error("credit_balance_exhausted")), "quota_exhausted");
        assert_eq!(code_of(503, error("server_is_overloaded")), "provider_unavailable");
        assert_eq!(code_of(400, error("content_filter")), "refused");
        assert_eq!(code_of(400, error("unsupported_parameter")), "invalid_request");
        assert_eq!(code_of(404, json!({ "error": "model 'x' not found" })), "invalid_request");
        assert_eq!(code_of(422, json!({ "detail": [{ "loc": ["body"] }] })), "invalid_request");
        for status in [408, 409, 500, 502, 503, 529] {
            assert_eq!(code_of(status, json!("<html>")), "provider_unavailable");
        }
        // Words alone change nothing.
        assert_eq!(
            code_of(400, json!({ "error": { "message": "rate limit! quota! context length!" } })),
            "invalid_request"
        );
    }

    #[test]
    fn an_overloaded_server_that_names_a_wait_is_waited_for() {
        let wait = Some(Duration::from_secs(3));
        let error = of_response(&about(None), 503, wait, &Said::default());
        assert!(matches!(error, Error::RateLimited { retry_after, .. } if retry_after == wait));
    }

    #[test]
    fn errors_in_a_stream_are_told_apart_like_others() {
        let code = |error: Value| of_stream(&about(None), &Said::read(&json!({ "error": error }))).code();
        assert_eq!(code(json!({ "code": 502, "message": "upstream" })), "provider_unavailable");
        assert_eq!(code(json!({ "code": 429 })), "rate_limited");
        assert_eq!(code(json!({ "code": "insufficient_quota" })), "quota_exhausted");
        assert_eq!(code(json!({ "type": "server_error" })), "provider_unavailable");
        assert_eq!(code(json!({ "code": "server_is_overloaded" })), "provider_unavailable");
        assert_eq!(code(json!({ "code": "slow_down" })), "rate_limited");
        assert_eq!(code(json!({ "code": "project_spend_limit_exceeded" })), "quota_exhausted");
        assert_eq!(code(json!({ "code": "bio_policy" })), "refused");
        assert_eq!(code(json!({ "code": "invalid_prompt" })), "invalid_request");
        assert_eq!(code(json!("anything")), "provider_unavailable");
    }

    #[test]
    fn a_key_that_a_server_repeats_is_taken_out() {
        let said = Said::read(&json!({ "error": { "message": "no such key: sk-canary!" } }));
        for status in [400, 401, 429, 500] {
            let error = of_response(&about(Some("Bearer sk-canary")), status, None, &said);
            assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        }
    }
}
