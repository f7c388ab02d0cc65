//! Who may come in: a bearer token where one is set, loopback names where none is.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode, Uri,
        header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Place, Problem};
use crate::Doors;

/// Lets a request through to its route, or refuses it with 401 or 403.
pub(crate) async fn guard(State(doors): State<Arc<Doors>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // Slack's requests carry their own proof, and arrive under a tunnel's name on a laptop.
    if path.starts_with("/slack/") {
        return next.run(request).await;
    }
    let checked = match &doors.token {
        Some(_) if path == "/health" || path.starts_with("/health/") => Ok(()),
        Some(token) => check_token(token, request.headers()),
        None => check_names(request.uri(), request.headers()),
    };
    match checked {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check_token(token: &SecretString, headers: &HeaderMap) -> Result<(), Problem> {
    let refuse = |detail: &str, challenge: &'static str| {
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "Not authorised", detail);
        Err(problem.header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge)))
    };
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
    match given {
        None => refuse("send the API token: Authorization: Bearer <GREENROOM_API_TOKEN>", "Bearer realm=\"greenroom\""),
        Some(given) if same(given, token.expose_secret()) => Ok(()),
        Some(_) => {
            refuse("the bearer token is not the right one", "Bearer realm=\"greenroom\", error=\"invalid_token\"")
        }
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Compares without telling by its duration where, or whether in length, the two differ.
fn same(a: &str, b: &str) -> bool {
    Sha256::digest(a.as_bytes()).ct_eq(&Sha256::digest(b.as_bytes())).into()
}

/// Refuses what a web page could make a browser send: another `Host` (DNS rebinding) or another `Origin`.
fn check_names(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let refuse = |code, header, detail: &str| {
        let place = Place { header: Some(header), detail: detail.to_owned(), ..Place::default() };
        let hint = "without GREENROOM_API_TOKEN only this machine may ask, under a loopback name (localhost, 127.0.0.1, [::1])";
        Err(Problem::new(StatusCode::FORBIDDEN, code, "Refused", format!("{detail}; {hint}")).at(place))
    };
    // The name in the request line wins over the header, where a client sends the whole address.
    if uri.authority().is_some_and(|authority| !is_loopback(authority.as_str())) {
        return refuse("host_refused", "Host", "the address is not a loopback name");
    }
    let hosts: Vec<&HeaderValue> = headers.get_all(HOST).iter().collect();
    let [host] = hosts.as_slice() else {
        return refuse("host_refused", "Host", "the header Host must be given once");
    };
    if !host.to_str().is_ok_and(is_loopback) {
        return refuse("host_refused", "Host", "the header Host is not a loopback name");
    }
    let foreign = |origin: &HeaderValue| !origin.to_str().is_ok_and(is_loopback_origin);
    if headers.get_all(ORIGIN).iter().any(foreign) {
        return refuse("origin_refused", "Origin", "the header Origin is not a loopback address");
    }
    Ok(())
}

fn is_loopback_origin(origin: &str) -> bool {
    origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")).is_some_and(is_loopback)
}

/// Whether `host` or `host:port` is one of this machine's own names.
fn is_loopback(host: &str) -> bool {
    let (name, port) = match host.rfind(':') {
        Some(at) if !host.ends_with(']') => (&host[..at], Some(&host[at + 1..])),
        _ => (host, None),
    };
    let port_is_number = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    port_is_number && (name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || name == "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machines_own_names_are_loopback() {
        for good in ["localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8080"] {
            assert!(is_loopback(good), "{good:?} was refused");
        }
        for bad in [
            "",
            "localhost.evil.com",
            "evil.com",
            "127.0.0.1.nip.io:80",
            "localhost:",
            "localhost:8x",
            "::1",
            "user@localhost",
        ] {
            assert!(!is_loopback(bad), "{bad:?} was taken");
        }
        assert!(is_loopback_origin("http://localhost:3000"));
        for bad in ["null", "http://evil.com", "localhost", "http://localhost.evil.com", "file://localhost"] {
            assert!(!is_loopback_origin(bad), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_bearer_token_is_read_and_compared_whole() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer abc"), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("abc"), None);
        assert!(same("abc", "abc"));
        assert!(!same("ab", "abc") && !same("", "abc"));
    }
}
