//! A plain HTTP client for talking to nodes, and what it heard.

use std::{
    sync::Once,
    time::{Duration, Instant},
};

use reqwest::RequestBuilder;
use serde_json::Value;

/// No request of a test may hang longer than this; `?wait=` stays below it.
const LIMIT: Duration = Duration::from_secs(150);

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body as it came.
    pub text: String,
    /// The body as JSON; `null` when it is not JSON.
    pub json: Value,
    /// From the first byte sent to the last byte read.
    pub took: Duration,
}

impl Answer {
    /// A header's value; empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The answer itself, if its status is `expected`.
    ///
    /// # Panics
    /// When it is another.
    #[track_caller]
    pub fn expect(self, expected: u16) -> Self {
        assert_eq!(self.status, expected, "the answer was: {}", self.text);
        self
    }

    /// A text field of the body.
    ///
    /// # Panics
    /// When it is not there.
    #[track_caller]
    pub fn str(&self, pointer: &str) -> String {
        match self.json.pointer(pointer).and_then(Value::as_str) {
            Some(text) => text.to_owned(),
            None => panic!("no text at {pointer} in: {}", self.text),
        }
    }
}

/// A client that never goes through a proxy. One for each test: a connection pool belongs to its test's runtime.
pub fn client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Only the first one counts; another part of the process may have installed the same one before.
        rustls::crypto::ring::default_provider().install_default().ok();
    });
    match reqwest::Client::builder().no_proxy().timeout(LIMIT).build() {
        Ok(client) => client,
        Err(error) => panic!("no HTTP client: {error}"),
    }
}

/// Sends a request and reads its answer.
///
/// # Panics
/// When there is no answer.
pub async fn send(request: RequestBuilder) -> Answer {
    match try_send(request).await {
        Ok(answer) => answer,
        Err(error) => panic!("no answer: {error:?}"),
    }
}

/// Sends a request and reads its answer; an error when there is none.
pub async fn try_send(request: RequestBuilder) -> Result<Answer, reqwest::Error> {
    let start = Instant::now();
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await?;
    let json = serde_json::from_str(&text).unwrap_or_default();
    Ok(Answer { status, headers, text, json, took: start.elapsed() })
}

/// A form body (`application/x-www-form-urlencoded`), encoded as browsers and Slack do it.
pub fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => encoded.push(char::from(byte)),
            b' ' => encoded.push('+'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
