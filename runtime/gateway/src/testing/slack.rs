//! A fake Slack on a real socket.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use greenroom_config::People;
use greenroom_contract::{
    ReplyTo, TraceId,
    event::SlackReply,
    port::reply::Reply,
    task::{Scoped, spawn_scoped},
};
use serde_json::Value;
use tokio::sync::Notify;

use super::FakeState;
use crate::slack::{SlackReplies, SlackWeb, WebOptions};

type Answers = Arc<Mutex<VecDeque<(u16, &'static str, &'static str)>>>;
type Seen = Arc<Mutex<Vec<(String, String, Value)>>>;

/// Answers with what it was given, in order, then with 200; remembers path, authorisation and body.
pub(crate) struct FakeSlack {
    pub(crate) base: String,
    host: String,
    pub(crate) seen: Seen,
    posted: Arc<Notify>,
    _server: Scoped,
}

impl FakeSlack {
    pub(crate) async fn start(answers: &[(u16, &'static str, &'static str)]) -> Self {
        let answers: Answers = Arc::new(Mutex::new(answers.iter().copied().collect()));
        let (seen, posted) = (Seen::default(), Arc::new(Notify::new()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let router = Router::new().fallback(answer).with_state((answers, seen.clone(), Arc::clone(&posted)));
        let server = spawn_scoped("fake-slack", async move { axum::serve(listener, router).await.unwrap() });
        Self { base: format!("http://{host}"), host, seen, posted, _server: server }
    }

    pub(crate) fn replies(&self, bot_token: Option<&str>) -> SlackReplies {
        self.replies_with(bot_token, Arc::default())
    }

    pub(crate) fn replies_with(&self, bot_token: Option<&str>, state: Arc<FakeState>) -> SlackReplies {
        replies(self.options(bot_token), state)
    }

    pub(crate) fn options(&self, bot_token: Option<&str>) -> WebOptions {
        WebOptions {
            bot_token: bot_token.map(Into::into),
            api_url: format!("{}/api/", self.base),
            response_hosts: vec![self.host.clone()],
            ..WebOptions::default()
        }
    }

    /// Waits for the `n`-th post, counted from 0.
    pub(crate) async fn post(&self, n: usize) -> Value {
        let came = async {
            while self.paths().len() <= n {
                self.posted.notified().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), came).await.expect("nothing was posted");
        self.body(n)
    }

    pub(crate) fn reply(&self, text: &str) -> Reply {
        Reply {
            id: "1".into(),
            to: ReplyTo::Slack(SlackReply {
                response_url: Some(format!("{}/response", self.base)),
                team_id: Some("T1".into()),
                channel_id: Some("C1".into()),
                thread_ts: Some("17.1".into()),
                user: None,
            }),
            text: text.into(),
            is_error: false,
            card: None,
            trace_id: TraceId::new(),
        }
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|(path, ..)| path.clone()).collect()
    }

    pub(crate) fn body(&self, index: usize) -> Value {
        self.seen.lock().unwrap()[index].2.clone()
    }
}

async fn answer(
    State((answers, seen, posted)): State<(Answers, Seen, Arc<Notify>)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let authorization = headers.get("authorization").map_or("", |value| value.to_str().unwrap()).to_owned();
    seen.lock().unwrap().push((uri.path().to_owned(), authorization, read(&body)));
    posted.notify_one();
    let default = if uri.path().starts_with("/api") { r#"{"ok":true,"ts":"1"}"# } else { "ok" };
    let (status, retry_after, body) = answers.lock().unwrap().pop_front().unwrap_or((200, "", default));
    let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
    if !retry_after.is_empty() {
        let name = if status == 302 { "location" } else { "retry-after" };
        response.headers_mut().insert(name, retry_after.parse().unwrap());
    }
    response
}

/// JSON, or a form's fields.
fn read(body: &[u8]) -> Value {
    let form = || form_urlencoded::parse(body).map(|(name, value)| (name.into_owned(), value.into_owned().into()));
    serde_json::from_slice(body).unwrap_or_else(|_| Value::Object(form().collect()))
}

/// Ways back with these options.
pub(crate) fn replies(options: WebOptions, state: Arc<FakeState>) -> SlackReplies {
    SlackReplies::new(Arc::new(SlackWeb::new(options).unwrap()), state, People::asker())
}
