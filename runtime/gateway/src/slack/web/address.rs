//! Which `response_url` may be posted to. It comes from outside, so that without this check anybody who can publish an
//! event could make us post to any address within reach.

use reqwest::Url;

/// The hosts that may be posted to.
#[derive(Debug, Clone)]
pub(super) struct AllowedHosts(Vec<Host>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Host {
    name: String,
    /// Only a host that is named with its port may be reached without TLS: that is a test's own server.
    port: Option<u16>,
}

impl AllowedHosts {
    /// Reads `host` or `host:port` entries; gives back the first that is neither.
    pub(super) fn parse(entries: &[String]) -> Result<Self, String> {
        let entries = entries.iter().map(|entry| entry.trim()).filter(|entry| !entry.is_empty());
        entries.map(|entry| host(entry).ok_or_else(|| entry.to_owned())).collect::<Result<_, _>>().map(Self)
    }

    /// The address, if it may be posted to; else why not, without the address, which is a secret.
    pub(super) fn check(&self, address: &str) -> Result<Url, &'static str> {
        let url = Url::parse(address).map_err(|_| "the response_url is not an address")?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the response_url carries a user name");
        }
        let name = url.host_str().ok_or("the response_url has no host")?;
        let allowed = |host: &Host| {
            host.name.eq_ignore_ascii_case(name)
                && match host.port {
                    None => url.scheme() == "https" && url.port().is_none(),
                    Some(port) => matches!(url.scheme(), "https" | "http") && url.port_or_known_default() == Some(port),
                }
        };
        if self.0.iter().any(allowed) {
            return Ok(url);
        }
        Err("the response_url's host is not in GREENROOM_SLACK_RESPONSE_HOSTS, or is not reached by https")
    }
}

fn host(entry: &str) -> Option<Host> {
    // The address parser's own rules decide what a host is.
    let url = Url::parse(&format!("https://{entry}/")).ok()?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    let name = url.host_str().filter(|_| bare && !entry.ends_with('/'))?.to_owned();
    let port = match entry.rsplit_once(':') {
        Some((_, port)) if !entry.ends_with(']') => Some(port.parse().ok()?),
        _ => None,
    };
    Some(Host { name, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(entries: &[&str], address: &str) -> bool {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        AllowedHosts::parse(&entries).unwrap().check(address).is_ok()
    }

    #[test]
    fn only_https_to_a_named_host_is_allowed() {
        let hosts = ["hooks.slack.com"];
        assert!(allowed(&hosts, "https://hooks.slack.com/commands/T/1/x"));
        assert!(allowed(&hosts, "https://HOOKS.slack.com:443/x"));
        for bad in [
            "http://hooks.slack.com/x",
            "https://hooks.slack.com:8443/x",
            "https://hooks.slack.com.evil.com/x",
            "https://evil.com/hooks.slack.com",
            "https://hooks.slack.com@evil.com/x",
            "https://user@hooks.slack.com/x",
            "https://169.254.169.254/latest",
            "file:///etc/passwd",
            "hooks.slack.com/x",
            "",
        ] {
            assert!(!allowed(&hosts, bad), "{bad:?} was allowed");
        }
    }

    #[test]
    fn a_host_with_its_port_may_be_plain_http() {
        let hosts = ["127.0.0.1:4000", "[::1]:4000"];
        assert!(allowed(&hosts, "http://127.0.0.1:4000/x"));
        assert!(allowed(&hosts, "http://[::1]:4000/x"));
        assert!(!allowed(&hosts, "http://127.0.0.1:4001/x"));
        assert!(!allowed(&hosts, "ftp://127.0.0.1:4000/x"));
        assert!(!allowed(&["127.0.0.1"], "http://127.0.0.1/x"));
    }

    #[test]
    fn an_entry_that_is_no_host_is_given_back() {
        for bad in ["https://hooks.slack.com", "a/b", "a b", "user@a", "a:notaport", "a?x"] {
            assert_eq!(AllowedHosts::parse(&[bad.to_owned()]).unwrap_err(), bad);
        }
    }
}
