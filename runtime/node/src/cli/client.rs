//! The command line's way to a node: its HTTP API.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use greenroom_config::NodeConfig;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{ADDRESS_FILE, exit::Exit};

const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(15);

/// A node, and how to speak to it.
pub(super) struct Client {
    base: String,
    token: Option<SecretString>,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    /// The node that was named, else the one whose address stands in the data folder, else the configured address.
    pub(super) fn new(server: Option<&str>, config: &NodeConfig) -> Result<Self, Exit> {
        rustls::crypto::ring::default_provider().install_default().ok();
        let base = match server {
            Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
                url.trim_end_matches('/').to_owned()
            }
            Some(other) => return Err(Exit::usage(format!("--server {other:?} is not a URL; write http://host:port"))),
            None => {
                let noted = std::fs::read_to_string(config.data_dir.join(ADDRESS_FILE)).ok();
                let addr = noted.and_then(|text| text.trim().parse().ok()).unwrap_or(config.http.addr);
                format!("http://{}", reachable(addr))
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut http = reqwest::Client::builder().connect_timeout(CONNECT);
        if ["http://127.0.0.1", "http://localhost", "http://[::1]"].iter().any(|local| base.starts_with(local)) {
            // A proxy leads away from this machine.
            http = http.no_proxy();
        }
        let http = http.build().map_err(Exit::failed)?;
        Ok(Self { base, token: config.http.token.clone(), http, runtime })
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, Exit> {
        self.call(Method::GET, path, None, &[], ANSWER).map(|(_, value)| value)
    }

    /// The newest of a list, those that fit the filters that are given.
    pub(super) fn newest(&self, list: &str, filters: &[(&str, Option<String>)]) -> Result<Value, Exit> {
        let mut path = format!("{list}?limit=50");
        for (key, value) in filters {
            if let Some(value) = value {
                path.push_str(&format!("&{key}={}", encoded(value)));
            }
        }
        self.get(&path)
    }

    pub(super) fn get_text(&self, path: &str) -> Result<String, Exit> {
        let (status, text) = self.send(Method::GET, path, None, &[], ANSWER)?;
        if status.is_success() { Ok(text) } else { Err(refusal(status, &text)) }
    }

    /// A GET whose status matters and whose failure is no error.
    pub(super) fn probe(&self, path: &str) -> Result<(StatusCode, String), Exit> {
        self.send(Method::GET, path, None, &[], CONNECT)
    }

    pub(super) fn post(&self, path: &str) -> Result<Value, Exit> {
        self.call(Method::POST, path, None, &[], ANSWER).map(|(_, value)| value)
    }

    pub(super) fn delete(&self, path: &str) -> Result<(), Exit> {
        self.call(Method::DELETE, path, None, &[], ANSWER).map(drop)
    }

    /// A call with everything; returns the status too.
    pub(super) fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
        within: Duration,
    ) -> Result<(StatusCode, Value), Exit> {
        let (status, text) = self.send(method, path, body, headers, within)?;
        if !status.is_success() {
            return Err(refusal(status, &text));
        }
        if text.is_empty() {
            return Ok((status, Value::Null));
        }
        let value = serde_json::from_str(&text)
            .map_err(|error| Exit::failed(format!("{} answered something else than JSON: {error}", self.base)))?;
        Ok((status, value))
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
        within: Duration,
    ) -> Result<(StatusCode, String), Exit> {
        let mut request = self.request(method, path).timeout(within);
        if let Some(body) = body {
            request = request.json(body);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.runtime.block_on(self.exchange(request))
    }

    /// Runs what asks more than once.
    pub(super) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// [`Self::get_text`] within [`Self::block_on`].
    pub(super) async fn fetch(&self, path: &str) -> Result<String, Exit> {
        let (status, text) = self.exchange(self.request(Method::GET, path).timeout(ANSWER)).await?;
        if status.is_success() { Ok(text) } else { Err(refusal(status, &text)) }
    }

    /// An answer without an end, if the node gives one.
    pub(super) async fn follow(&self, path: &str) -> Option<Response> {
        let opened = tokio::time::timeout(CONNECT, self.request(Method::GET, path).send()).await;
        opened.ok()?.ok().filter(|response| response.status().is_success())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        }
    }

    async fn exchange(&self, request: RequestBuilder) -> Result<(StatusCode, String), Exit> {
        let response = request.send().await.map_err(|error| self.no_answer(&error))?;
        let status = response.status();
        let text = response.text().await.map_err(|error| self.no_answer(&error))?;
        Ok((status, text))
    }

    fn no_answer(&self, error: &reqwest::Error) -> Exit {
        if error.is_timeout() {
            return Exit::too_late(format!("{} did not answer in time", self.base));
        }
        Exit::unreachable(format!(
            "no node answers at {}; start one with `greenroom up`, or name it with --server",
            self.base
        ))
    }
}

/// Where a node is asked that listens everywhere: on this machine.
fn reachable(mut addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    addr
}

/// A problem (RFC 9457) as one line.
fn refusal(status: StatusCode, text: &str) -> Exit {
    let problem: Value = serde_json::from_str(text).unwrap_or_default();
    let word = |key: &str| problem[key].as_str().map(str::to_owned);
    let message = word("detail").or_else(|| word("title")).unwrap_or_else(|| format!("the node answered {status}"));
    match status {
        StatusCode::NOT_FOUND => Exit::not_found(message),
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Exit::usage(message),
        StatusCode::SERVICE_UNAVAILABLE => Exit::unreachable(message),
        _ => Exit::failed(message),
    }
}

/// A text as one part of a path or query.
pub(super) fn encoded(text: &str) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
