//! What the SDK's errors come down to. Some of them hide their cause, which is what an operator needs to read.

use std::error::Error;

use rmcp::{
    service::{ClientInitializeError, ServiceError},
    transport::streamable_http_client::StreamableHttpError,
};

use super::http::NoToken;

/// The reason at the bottom of an error, in one line, without addresses: they may hold credentials. It may hold the
/// server's own words: for [`super::veil::Veil::over_reason`].
pub(super) fn why(error: &(dyn Error + 'static)) -> String {
    let root = causes(error).last().unwrap_or(error);
    let mut text = root.to_string();
    if let Some(http) = causes(error).find_map(|cause| cause.downcast_ref::<reqwest::Error>())
        && let Some(url) = http.url()
    {
        text = text.replace(&format!(" for url ({url})"), "").replace(url.as_str(), "its address");
    }
    text
}

/// Whether a failed call over HTTP surely did nothing: no connection came about, the server wanted other credentials, it
/// knew the session no more, or no access token could be got for it.
pub(super) fn never_arrived(error: &ServiceError) -> bool {
    error.is_authorization_required() || causes(error).any(did_nothing)
}

fn did_nothing(cause: &(dyn Error + 'static)) -> bool {
    if let Some(http) = cause.downcast_ref::<reqwest::Error>() {
        return http.is_connect();
    }
    match cause.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        Some(StreamableHttpError::SessionExpired) => true,
        Some(StreamableHttpError::Io(error)) => error.get_ref().is_some_and(|inner| inner.is::<NoToken>()),
        _ => false,
    }
}

/// An error and everything under it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| cause(*error))
}

fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref() {
        Some(ClientInitializeError::TransportError { error, .. }) => return Some(error),
        Some(ClientInitializeError::LegacyFallbackFailed { fallback, .. }) => return Some(fallback.as_ref()),
        _ => {}
    }
    if let Some(StreamableHttpError::Client(http)) = error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        return Some(http);
    }
    error.source()
}
