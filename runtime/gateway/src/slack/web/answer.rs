//! One request to Slack, and what its answer means for the reply.

use std::time::Duration;

use greenroom_contract::port::reply::Error;
use reqwest::{RequestBuilder, Response, StatusCode, header::RETRY_AFTER};
use serde_json::Value;

/// Slack's answers are short; whatever is longer is not read to its end.
const ANSWER_LIMIT: usize = 64 * 1024;
/// The longest wait that is believed.
const LONGEST_WAIT: u64 = 3600;

/// What became of a message that was not refused for good.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Posted {
    /// Slack has it.
    Done,
    /// This address is spent: there may be another way.
    Gone(String),
}

/// What a `response_url` answers as a bare word.
const RESPONSE_CODES: &[&str] = &[
    "expired_url",
    "used_url",
    "no_service",
    "invalid_payload",
    "invalid_blocks",
    "invalid_blocks_format",
    "msg_blocks_too_long",
    "msg_too_long",
    "rate_limited",
];

/// Codes of the Web API after which another try can help.
const PASSING: &[&str] =
    &["ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"];

/// Posts to a `response_url`.
pub(super) async fn to_response_url(request: RequestBuilder) -> Result<Posted, Error> {
    let (status, retry_after, body) = send(request, "response_url").await?;
    let code = code_of(&body);
    if let Some(error) = passing(status, retry_after, code.as_deref()) {
        return Err(error);
    }
    match code {
        None if status.is_success() => Ok(Posted::Done),
        Some(code) => Ok(Posted::Gone(code)),
        None => Ok(Posted::Gone(format!("the response_url answered {}", status.as_u16()))),
    }
}

/// What a method of the Web API answered that did not go through.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Another try can help, not before `retry_after`.
    ForNow { reason: String, retry_after: Option<Duration> },
    /// It will not help: Slack's code, and what to do about it.
    ForGood { code: String },
}

impl Refused {
    /// What a reply's failure is that fails by this.
    pub(crate) fn of(self, method: &str) -> Error {
        match self {
            Self::ForNow { reason, retry_after } => Error::Retry { reason: format!("{method}: {reason}"), retry_after },
            Self::ForGood { code } => Error::Undeliverable { reason: format!("{method}: {code}{}", hint(&code)) },
        }
    }
}

/// Calls a method of the Web API, whose errors come with status 200. Gives back its answer.
pub(super) async fn to_method(request: RequestBuilder, method: &str) -> Result<Value, Refused> {
    let (status, retry_after, body) = match send(request, method).await {
        Ok(answered) => answered,
        Err(Error::Retry { reason, retry_after }) => return Err(Refused::ForNow { reason, retry_after }),
        Err(Error::Undeliverable { reason }) => return Err(Refused::ForGood { code: reason }),
    };
    let code = code_of(&body);
    if let Some(Error::Retry { reason, retry_after }) = passing(status, retry_after, code.as_deref()) {
        return Err(Refused::ForNow { reason, retry_after });
    }
    match serde_json::from_slice::<Value>(&body) {
        Ok(answer) if status.is_success() && answer["ok"] == Value::Bool(true) => Ok(answer),
        _ => Err(Refused::ForGood { code: code.unwrap_or_else(|| format!("status {}", status.as_u16())) }),
    }
}

/// Sends a file's bytes, which is answered in no particular words.
pub(super) async fn to_upload(request: RequestBuilder) -> Result<(), Refused> {
    let refused = |error| match error {
        Error::Retry { reason, retry_after } => Refused::ForNow { reason, retry_after },
        Error::Undeliverable { reason } => Refused::ForGood { code: reason },
    };
    let (status, retry_after, _) = send(request, "the upload").await.map_err(refused)?;
    match passing(status, retry_after, None) {
        Some(error) => Err(refused(error)),
        None if status.is_success() => Ok(()),
        None => Err(Refused::ForGood { code: format!("status {}", status.as_u16()) }),
    }
}

fn hint(code: &str) -> &'static str {
    match code {
        "not_in_channel" | "channel_not_found" => " (invite the app to the channel)",
        "missing_scope" => " (the app lacks a scope: compare deploy/slack/manifest.yaml)",
        "invalid_auth" | "not_authed" | "token_revoked" | "account_inactive" => " (see SLACK_BOT_TOKEN)",
        _ => "",
    }
}

/// Too many requests, a fault at Slack's side, or a code that says so.
fn passing(status: StatusCode, retry_after: Option<Duration>, code: Option<&str>) -> Option<Error> {
    let by_status =
        status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT || status.is_server_error();
    let by_code = code.is_some_and(|code| PASSING.contains(&code));
    if !by_status && !by_code {
        return None;
    }
    let reason = match code {
        Some(code) => format!("Slack answered {} {code}", status.as_u16()),
        None => format!("Slack answered {}", status.as_u16()),
    };
    Some(Error::Retry { reason, retry_after })
}

async fn send(request: RequestBuilder, to: &str) -> Result<(StatusCode, Option<Duration>, Vec<u8>), Error> {
    // The address is a capability, and errors are logged: it is taken out of them.
    let failed = |error: reqwest::Error| Error::Retry {
        reason: format!("{to} cannot be reached: {}", causes(&error.without_url())),
        retry_after: None,
    };
    let mut response = request.send().await.map_err(failed)?;
    let status = response.status();
    let retry_after = retry_after(&response);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_LIMIT {
            break;
        }
    }
    Ok((status, retry_after, body))
}

fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds: u64 = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(LONGEST_WAIT)))
}

/// The error code of an answer: `{"ok": false, "error": …}`, or the bare word that a `response_url` answers.
fn code_of(body: &[u8]) -> Option<String> {
    if let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(body) {
        let failed = body.get("ok") == Some(&Value::Bool(false));
        let code = body.get("error").and_then(Value::as_str).unwrap_or("unknown_error");
        return failed.then(|| word_of(code));
    }
    let text = std::str::from_utf8(body).ok()?.trim();
    RESPONSE_CODES.contains(&text).then(|| text.to_owned())
}

/// A code is a word; anything else that the other side says is not carried into logs.
fn word_of(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(64).collect()
}
