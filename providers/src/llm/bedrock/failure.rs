//! What an error of the SDK means. The raw status decides, then the exception's name: a status that the SDK does not
//! know would otherwise be an error without a name. The words of a message never decide.

use std::time::Duration;

use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockruntime::types::error::ConverseStreamOutputError;
use greenroom_contract::port::llm::Error;
use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use secrecy::ExposeSecret;

use super::model::{Options, PROVIDER};
use crate::llm::wire::{retry_after, words};

/// What is known of a response that is no success.
pub(super) struct Refusal<'a> {
    pub(super) status: u16,
    pub(super) code: &'a str,
    pub(super) said: &'a str,
    pub(super) retry_after: Option<Duration>,
}

/// How long the headers ask to wait. Bedrock promises none; gateways before it send some.
pub(super) fn wait<'a>(header: impl Fn(&'static str) -> Option<&'a str>) -> Option<Duration> {
    let named = [HeaderName::from_static("retry-after-ms"), RETRY_AFTER];
    let found = named.into_iter().zip(["retry-after-ms", "retry-after"]);
    let found = found.filter_map(|(name, text)| Some((name, HeaderValue::from_str(header(text)?).ok()?)));
    retry_after(&HeaderMap::from_iter(found), Timestamp::now())
}

/// The error of a response that is no success.
pub(super) fn of_response(options: &Options, refusal: &Refusal<'_>) -> Error {
    let provider = PROVIDER.to_owned();
    let &Refusal { status, code, retry_after, .. } = refusal;
    let message = message(options, refusal);
    match (status, code) {
        (_, "ServiceQuotaExceededException") | (402, _) => Error::QuotaExhausted { provider, message },
        // Not the server's words: some repeat the key.
        (401 | 403, _) => Error::Authentication {
            provider,
            message: format!("{} was refused, or may not use this model (HTTP {status} {code})", options.key_name),
        },
        (413, _) => Error::ContextTooLong { provider, message },
        (429, _) => Error::RateLimited { provider, message, retry_after },
        (500.., _) if retry_after.is_some() => Error::RateLimited { provider, message, retry_after },
        // 424: the model behind Bedrock failed.
        (408 | 409 | 424 | 425 | 500.., _) => Error::Unavailable { provider, message },
        // The SDK could not read what came with a success.
        (200..300, _) => Error::Interrupted { provider, message },
        _ => Error::InvalidRequest { provider, message },
    }
}

/// The error of an exception in a stream that had begun with HTTP 200, or of a stream that broke.
pub(super) fn of_stream<R>(options: &Options, error: &SdkError<ConverseStreamOutputError, R>) -> Error {
    let Some(exception) = error.as_service_error() else {
        let message = words("the stream broke, or a frame of it could not be read", None);
        return Error::Interrupted { provider: PROVIDER.to_owned(), message };
    };
    let (status, code) = match exception {
        ConverseStreamOutputError::ThrottlingException(_) => (429, "throttlingException"),
        ConverseStreamOutputError::ValidationException(_) => (400, "validationException"),
        ConverseStreamOutputError::ServiceUnavailableException(_) => (503, "serviceUnavailableException"),
        ConverseStreamOutputError::ModelStreamErrorException(_) => (424, "modelStreamErrorException"),
        ConverseStreamOutputError::InternalServerException(_) => (500, "internalServerException"),
        // After a success status an unknown error is the server's, not ours.
        _ => (500, "exception"),
    };
    let said = exception.message().unwrap_or_default();
    of_response(options, &Refusal { status, code, said, retry_after: None })
}

/// A call that got no response at all.
pub(super) fn unreachable(cause: &str) -> Error {
    Error::Unavailable { provider: PROVIDER.to_owned(), message: format!("cannot reach Amazon Bedrock: {cause}") }
}

fn message(options: &Options, refusal: &Refusal<'_>) -> String {
    let secrets = options.secrets.iter().map(ExposeSecret::expose_secret);
    let text = secrets.fold(refusal.said.to_owned(), |text, secret| text.replace(secret.trim(), "[key]"));
    let text = words(&text, None);
    let code = if refusal.code.is_empty() { String::new() } else { format!(" {}", refusal.code) };
    match text.is_empty() {
        true => format!("HTTP {}{code}", refusal.status),
        false => format!("{text} (HTTP {}{code})", refusal.status),
    }
}
