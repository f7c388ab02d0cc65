//! What a node posts to Slack, received on a real socket.

use std::{
    collections::VecDeque,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use greenroom_contract::task::{Scoped, spawn_scoped};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::Sockets;
use crate::wait;

/// The signing secret of the fake workspace.
const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
/// A status that stands for no answer at all.
const SILENCE: u16 = 0;
/// The bot token of the fake workspace.
const TOKEN: &str = "xoxb-kit-token";
/// The app's own token.
const APP_TOKEN: &str = "xapp-kit-token";

/// A fake Slack. It ends when it is dropped.
pub struct Slack {
    pub(super) address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    _serving: Scoped,
}

#[derive(Default)]
struct Shared {
    received: Vec<Received>,
    signs: Vec<Received>,
    refusals: VecDeque<(u16, Vec<(String, String)>)>,
    sockets: Option<SocketAddr>,
    /// The bytes that were sent for each file, by its number from 1.
    files: Vec<Vec<u8>>,
    /// How many times a connection was asked for that is not given.
    busy: usize,
    refused: usize,
}

/// A post from the node that Slack took.
#[derive(Debug, Clone)]
pub struct Received {
    /// The path: a `response_url`'s, or `/api/chat.postMessage`.
    pub path: String,
    /// The `Authorization` header, empty when there was none.
    pub authorization: String,
    /// The body.
    pub body: Value,
}

impl Received {
    /// Everything that a person would read in it: the texts of its blocks, or `text` where it has none.
    pub fn text(&self) -> String {
        let mut texts = Vec::new();
        let shown = if self.body["blocks"].is_array() { &self.body["blocks"] } else { &self.body };
        collect_texts(shown, &mut texts);
        texts.join("\n")
    }

    /// The buttons in it: the name of each action, and its value.
    pub fn buttons(&self) -> Vec<(String, String)> {
        let blocks = self.body["blocks"].as_array().into_iter().flatten();
        let elements = blocks.filter_map(|block| block["elements"].as_array()).flatten();
        let is_button = |element: &&Value| element["type"] == "button";
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        elements.filter(is_button).map(|button| (word(&button["action_id"]), word(&button["value"]))).collect()
    }
}

fn collect_texts(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "text" => texts.push(text.clone()),
                    other => collect_texts(other, texts),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_texts(item, texts)),
        _ => {}
    }
}

impl Slack {
    /// Starts a fake Slack on a free port.
    pub async fn start() -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (listener, address) = match TcpListener::bind("127.0.0.1:0").await.and_then(|l| Ok((l.local_addr()?, l))) {
            Ok((address, listener)) => (listener, address),
            Err(error) => panic!("the fake Slack cannot listen: {error}"),
        };
        let app = Router::new().fallback(receive).with_state(Arc::clone(&shared));
        let serving = spawn_scoped("kit slack", async move {
            axum::serve(listener, app).await.ok();
        });
        Self { address, shared, _serving: serving }
    }

    /// The signing secret.
    pub fn secret(&self) -> &'static str {
        SECRET
    }

    /// What a node needs in its environment to take this for Slack.
    pub fn environment(&self) -> Vec<(String, String)> {
        [
            ("SLACK_SIGNING_SECRET", SECRET.to_owned()),
            ("SLACK_BOT_TOKEN", TOKEN.to_owned()),
            ("SLACK_API_URL", format!("http://{}/api", self.address)),
            // A host that is named with its port may be reached without TLS.
            ("GREENROOM_SLACK_RESPONSE_HOSTS", self.address.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// What a node needs in its environment to be reached by Socket Mode alone, with the connections that it opens.
    pub async fn sockets(&self) -> (Vec<(String, String)>, Sockets) {
        let sockets = Sockets::start().await;
        lock(&self.shared).sockets = Some(sockets.address);
        let mut environment = self.environment();
        environment.retain(|(name, _)| name != "SLACK_SIGNING_SECRET" && name != "GREENROOM_SLACK_RESPONSE_HOSTS");
        environment.push(("SLACK_APP_TOKEN".to_owned(), APP_TOKEN.to_owned()));
        let hosts = format!("{},{}", self.address, sockets.address);
        environment.push(("GREENROOM_SLACK_RESPONSE_HOSTS".to_owned(), hosts));
        (environment, sockets)
    }

    /// Gives no connection so many times when one is asked for.
    pub fn give_no_socket(&self, times: usize) {
        lock(&self.shared).busy = times;
    }

    /// Answers the next post with this instead of taking it; several are played in order.
    pub fn refuse_next(&self, status: u16, headers: &[(&str, &str)]) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        lock(&self.shared).refusals.push_back((status, headers));
    }

    /// Never answers the next post, and does not take it either.
    pub fn ignore_next(&self) {
        self.refuse_next(SILENCE, &[]);
    }

    /// Every post that was taken so far.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared).received.clone()
    }

    /// Every sign of work that was given so far: a status, which is no message.
    pub fn signs(&self) -> Vec<Received> {
        lock(&self.shared).signs.clone()
    }

    /// What is in the file `F1`, `F2`, …
    pub fn file(&self, id: &str) -> Option<String> {
        let n: usize = id.strip_prefix('F')?.parse().ok()?;
        let bytes = lock(&self.shared).files.get(n.checked_sub(1)?)?.clone();
        String::from_utf8(bytes).ok()
    }

    /// How many posts were refused so far.
    pub fn refused(&self) -> usize {
        lock(&self.shared).refused
    }

    /// Waits for the `n`-th post that is taken, counted from 1, at most `limit`.
    pub async fn reply(&self, n: usize, limit: Duration) -> Received {
        wait::seen(&format!("reply {n} to arrive at Slack"), limit, async || {
            let received = self.received();
            received.get(n - 1).cloned().ok_or_else(|| format!("{} came", received.len()))
        })
        .await
    }

    /// The messages with these words in them, with their numbers among all posts, counted from 1.
    pub fn posts(&self, words: &str) -> Vec<(usize, Received)> {
        let posts = (1..).zip(self.received());
        posts.filter(|(_, post)| post.path == "/api/chat.postMessage" && post.text().contains(words)).collect()
    }

    /// What the `n`-th post was changed to, in order.
    pub fn updates(&self, n: usize) -> Vec<Received> {
        let ts = format!("1700000000.{:06}", n - 1);
        let all = self.received().into_iter();
        all.filter(|post| post.path == "/api/chat.update" && post.body["ts"] == ts).collect()
    }

    /// Waits for what somebody is told who clicked, at the path that was given with the click, at most `limit`.
    pub async fn told(&self, path: &str, limit: Duration) -> Value {
        wait::seen("whoever clicked to be told", limit, async || {
            let told = self.received().into_iter().find(|post| post.path == path);
            told.map(|post| post.body).ok_or("nothing came")
        })
        .await
    }
}

impl fmt::Debug for Slack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slack").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn receive(State(shared): State<Arc<Mutex<Shared>>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    match answer(&shared, &uri, &headers, &body) {
        Some(response) => response,
        None => std::future::pending().await,
    }
}

/// The answer; none for a post that is ignored.
fn answer(shared: &Mutex<Shared>, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Option<Response> {
    let mut shared = lock(shared);
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let number = shared.received.len();
    let received = Received { path: uri.path().to_owned(), authorization: authorization.to_owned(), body: read(body) };
    if uri.path() == "/api/apps.connections.open" {
        let is_known = received.authorization == format!("Bearer {APP_TOKEN}");
        if shared.busy > 0 {
            shared.busy -= 1;
            return Some((StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")], r#"{"ok":false}"#).into_response());
        }
        return Some(match shared.sockets.filter(|_| is_known) {
            Some(at) => axum::Json(json!({"ok": true, "url": format!("ws://{at}/link/?ticket=once")})).into_response(),
            None => axum::Json(json!({"ok": false, "error": "invalid_auth"})).into_response(),
        });
    }
    let is_sign = |end: &&str| uri.path().ends_with(end);
    if ["etStatus", "Stream", "chat.delete"].iter().any(is_sign) {
        let (status, ts) = (received.body["status"].clone(), format!("1600000000.{:06}", shared.signs.len()));
        shared.signs.push(received);
        return Some(axum::Json(json!({"ok": true, "agent_status": status, "ts": ts})).into_response());
    }
    if let Some((status, extra)) = shared.refusals.pop_front() {
        shared.refused += 1;
        if status == SILENCE {
            return None;
        }
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        for (name, value) in extra {
            if let (Ok(name), Ok(value)) = (name.parse::<axum::http::HeaderName>(), value.parse()) {
                response.headers_mut().insert(name, value);
            }
        }
        return Some(response);
    }
    if let Some(answer) = take_file(&mut shared, uri.path(), headers, body) {
        return Some(answer);
    }
    shared.received.push(received);
    if uri.path().starts_with("/api/") {
        let ts = format!("1700000000.{number:06}");
        return Some(axum::Json(json!({"ok": true, "channel": "C1", "ts": ts})).into_response());
    }
    Some("ok".into_response())
}

/// JSON, or the fields of a form.
fn read(body: &[u8]) -> Value {
    let form = || url::form_urlencoded::parse(body).map(|(name, value)| (name.into_owned(), value.into_owned().into()));
    serde_json::from_slice(body).unwrap_or_else(|_| Value::Object(form().collect()))
}

/// The first two steps by which a file comes; it is not seen before the third.
fn take_file(shared: &mut Shared, path: &str, headers: &HeaderMap, body: &Bytes) -> Option<Response> {
    if path == "/api/files.getUploadURLExternal" {
        shared.files.push(Vec::new());
        let (host, n) = (headers.get("host").and_then(|host| host.to_str().ok())?, shared.files.len());
        let named = json!({"ok": true, "upload_url": format!("http://{host}/upload/{n}"), "file_id": format!("F{n}")});
        return Some(axum::Json(named).into_response());
    }
    let n: usize = path.strip_prefix("/upload/")?.parse().ok()?;
    *shared.files.get_mut(n.checked_sub(1)?)? = body.to_vec();
    Some("OK".into_response())
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
