//! Addresses: what is checked of a URL before anything is sent to it.

use url::{Host, Url};

/// Checks a host, with or without a port. Which addresses on it are allowed is for the door to say.
pub(crate) fn check_host(text: &str) -> Result<(), String> {
    let bare = !text.is_empty() && !text.contains(['/', '@', '?', '#', '\\']) && !text.ends_with(':');
    match Url::parse(&format!("https://{text}")) {
        Ok(_) if bare => Ok(()),
        _ => Err(format!("{text:?} is not a host; write for example hooks.slack.com or 127.0.0.1:9999")),
    }
}

/// Checks the address of an HTTP server. `Ok(true)`: it is not encrypted and not on this machine.
///
/// The error reads after the key and shows nothing of the address, which may hold a password.
pub(crate) fn check_http_url(text: &str) -> Result<bool, String> {
    let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("is not a web address; it must begin with http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or password; credentials do not stand in an address".to_owned());
    }
    Ok(url.scheme() == "http" && !on_this_machine(&url))
}

/// Checks a host without a port, in which `*` stands for any text.
pub(crate) fn check_url_host_pattern(text: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "*-._:[]".contains(c);
    let port = !text.starts_with('[') && text.contains(':');
    match text.chars().all(fits) && !port {
        true => Ok(()),
        false => Err(format!("{text:?} is not a host")),
    }
}

fn on_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_bare() {
        for good in ["hooks.slack.com", "127.0.0.1:9999", "[::1]:80", "localhost"] {
            assert_eq!(check_host(good), Ok(()));
        }
        for bad in ["", "https://hooks.slack.com", "a b", "host/path", "me@host", "host:99999", "host:", "[::1"] {
            assert!(check_host(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn only_web_addresses_without_credentials_are_taken() {
        assert_eq!(check_http_url("https://api.example.com/v1"), Ok(false));
        assert_eq!(check_http_url("http://127.0.0.1:8000/v1"), Ok(false));
        assert_eq!(check_http_url("http://[::1]:8000"), Ok(false));
        assert_eq!(check_http_url("http://model.internal/v1"), Ok(true));
        for bad in
            ["", "api.example.com", "ftp://example.com", "http://", "https://me:canary@example.com", "localhost:80"]
        {
            let error = check_http_url(bad).unwrap_err();
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
