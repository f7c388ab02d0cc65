//! What the SDK's errors come down to. Some of them hide their cause, which is what an operator needs to read.

use std::error::Error;

use rmcp::{
    service::{ClientInitializeError, ServiceError},
    transport::streamable_http_client::StreamableHttpError,
};

const LONGEST: usize = 300;

/// The reason at the bottom of an error, in one line, without addresses: they may hold credentials.
pub(super) fn why(error: &(dyn Error + 'static)) -> String {
    let root = causes(error).last().unwrap_or(error);
    let mut text = root.to_string();
    if let Some(http) = causes(error).find_map(|cause| cause.downcast_ref::<reqwest::Error>())
        && let Some(url) = http.url()
    {
        text = text.replace(&format!(" for url ({url})"), "").replace(url.as_str(), "its address");
    }
    if text.chars().count() > LONGEST {
        text = text.chars().take(LONGEST).chain(['…']).collect();
    }
    text
}

/// Whether a failed call over HTTP surely did not reach the server: no connection came about, or it wanted credentials.
pub(super) fn never_arrived(error: &ServiceError) -> bool {
    let connected =
        |cause: &(dyn Error + 'static)| cause.downcast_ref::<reqwest::Error>().is_none_or(|http| !http.is_connect());
    error.is_authorization_required() || !causes(error).all(connected)
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
