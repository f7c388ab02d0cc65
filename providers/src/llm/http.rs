//! The HTTP client, and what its errors say.

use std::{error::Error, time::Duration};

use crate::Unusable;

/// The client that [`crate::Providers`] takes, one for all agents of a node. It has no total time-out, because an
/// answer may stream for minutes; every call has its own limit of silence instead. Redirects are not followed, so that
/// a key never travels to a host that nobody named. A process-wide rustls crypto provider must be installed before.
pub fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    http_client_builder().pool_idle_timeout(Duration::from_secs(60)).build()
}

/// What all our clients have in common.
pub(crate) fn http_client_builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("greenroom/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none())
}

/// Says that a client of [`http_client_builder`] could not be made.
pub(crate) fn no_http_client(error: reqwest::Error) -> Unusable {
    Unusable::new(format!("no HTTP client can be made ({error})"), "check the machine's TLS certificates")
}

/// The whole chain of causes in one line, without the address: it may hold credentials.
pub(crate) fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = inner.source();
    }
    text
}

/// An address without user name, password and query, fit for messages.
pub(crate) fn shown(url: &reqwest::Url) -> String {
    let host = url.host_str().unwrap_or("?");
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path().trim_end_matches('/'))
}

/// A server as the tree names it: its host, and its port where it is not the usual one.
pub(crate) fn place(url: &reqwest::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_address_has_no_credentials() {
        let url: reqwest::Url = "https://me:hush@models.test:8443/v1/?key=hush".parse().unwrap();
        assert_eq!(shown(&url), "https://models.test:8443/v1");
    }
}
