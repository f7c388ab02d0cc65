//! Which addresses may be called. A `response_url` comes from outside, so that without this check anybody who can publish an
//! event could make us post to any address within reach; what Slack's own answers name is held to Slack's own hosts.

use reqwest::Url;

/// Slack's own domains.
const SLACK: &[&str] = &["slack.com", "slack-gov.com"];

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
        if self.0.iter().any(|host| host.is_that_of(&url)) {
            return Ok(url);
        }
        Err("the response_url's host is not in GREENROOM_SLACK_RESPONSE_HOSTS, or is not reached by https")
    }

    /// An address that an answer of Slack's named, for a connection or for a file's bytes: it is at one of Slack's own hosts,
    /// or at a test's. One for a connection by WebSocket is given as the `http` by which that begins.
    pub(super) fn check_named_by_slack(&self, address: &str) -> Result<Url, &'static str> {
        let address = address.strip_prefix("ws").map_or_else(|| address.to_owned(), |rest| format!("http{rest}"));
        let url = Url::parse(&address).map_err(|_| "what Slack named is not an address")?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the address that Slack named carries a user name");
        }
        let name = url.host_str().unwrap_or_default();
        let within = |domain: &&str| name.strip_suffix(*domain).is_some_and(|front| front.ends_with('.'));
        let is_slacks = url.scheme() == "https" && url.port().is_none() && SLACK.iter().any(within);
        let is_a_tests = self.0.iter().any(|host| host.port.is_some() && host.is_that_of(&url));
        if is_slacks || is_a_tests { Ok(url) } else { Err("the address that Slack named is at no host of Slack's") }
    }
}

impl Host {
    fn is_that_of(&self, url: &Url) -> bool {
        url.host_str().is_some_and(|name| self.name.eq_ignore_ascii_case(name))
            && match self.port {
                None => url.scheme() == "https" && url.port().is_none(),
                Some(port) => matches!(url.scheme(), "https" | "http") && url.port_or_known_default() == Some(port),
            }
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
    fn what_slack_names_is_at_slack() {
        let hosts = AllowedHosts::parse(&["hooks.example.com".to_owned(), "127.0.0.1:4000".to_owned()]).unwrap();
        let named = |address: &str| hosts.check_named_by_slack(address).map(String::from);
        assert_eq!(named("wss://wss-primary.slack.com/link/?t=1").unwrap(), "https://wss-primary.slack.com/link/?t=1");
        assert_eq!(named("https://files.slack.com/upload/v1/x").unwrap(), "https://files.slack.com/upload/v1/x");
        assert_eq!(named("ws://127.0.0.1:4000/link").unwrap(), "http://127.0.0.1:4000/link");
        assert!(named("wss://wss.slack-gov.com/x").is_ok());
        for bad in [
            "ws://wss-primary.slack.com/link",
            "https://slack.com.evil.com/x",
            "https://evilslack.com/x",
            "https://evil.com/files.slack.com",
            "https://files.slack.com:8443/x",
            "https://me@files.slack.com/x",
            "https://hooks.example.com/x",
            "ws://127.0.0.1:4001/link",
            "wss://",
            "",
        ] {
            assert!(named(bad).is_err(), "{bad:?} was allowed");
        }
    }

    #[test]
    fn an_entry_that_is_no_host_is_given_back() {
        for bad in ["https://hooks.slack.com", "a/b", "a b", "user@a", "a:notaport", "a?x"] {
            assert_eq!(AllowedHosts::parse(&[bad.to_owned()]).unwrap_err(), bad);
        }
    }
}
