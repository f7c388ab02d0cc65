//! The server itself.

use std::{
    collections::VecDeque,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};
use bytes::Bytes;
use futures::StreamExt;
use greenroom_contract::task::{Scoped, spawn_scoped};
use serde_json::Value;
use tokio::net::TcpListener;

use super::{Asked, Reply, reply::Content, wire};
use crate::wait;

type Rule = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// A model server. It ends when it is dropped.
pub struct ModelServer {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    _serving: Scoped,
}

#[derive(Default)]
struct Shared {
    asked: Vec<Asked>,
    queue: VecDeque<Reply>,
    rule: Option<Rule>,
}

impl ModelServer {
    /// Starts a server on a free port. Without [`Self::rule`] or [`Self::then`] it answers 500 and says so.
    pub async fn start() -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (listener, address) = match TcpListener::bind("127.0.0.1:0").await.and_then(|l| Ok((l.local_addr()?, l))) {
            Ok((address, listener)) => (listener, address),
            Err(error) => panic!("the model server cannot listen: {error}"),
        };
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let serving = spawn_scoped("kit model server", async move {
            axum::serve(listener, app).await.ok();
        });
        Self { address, shared, _serving: serving }
    }

    /// Answers every request by this rule, unless one is waiting in the queue.
    pub fn rule(&self, rule: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> &Self {
        lock(&self.shared).rule = Some(Arc::new(rule));
        self
    }

    /// Answers the next unanswered request with this; several are played in order.
    pub fn then(&self, reply: Reply) -> &Self {
        lock(&self.shared).queue.push_back(reply);
        self
    }

    /// What `base_url` or `OPENAI_BASE_URL` is set to.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// How many questions came in, answered or not.
    pub fn calls(&self) -> usize {
        lock(&self.shared).asked.len()
    }

    /// All questions so far.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared).asked.clone()
    }

    /// Waits until so many questions have come in.
    pub async fn wait_for_calls(&self, calls: usize) {
        wait::seen(&format!("{calls} calls at the model server"), wait::PATIENCE, async || {
            let now = self.calls();
            if now >= calls { Ok(()) } else { Err(format!("{now} came")) }
        })
        .await;
    }
}

impl fmt::Debug for ModelServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelServer").field("address", &self.address).field("calls", &self.calls()).finish()
    }
}

async fn answer(State(shared): State<Arc<Mutex<Shared>>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        // A look at the list of models, or something that is no question: not counted.
        return json_response(404, &[], &wire::error(&format!("{uri} is not served here")));
    };
    let (asked, reply) = note(&shared, &uri, &headers, body);
    let reply = match reply {
        _ if !asked.path.ends_with("/chat/completions") => Reply::status(404, "only /chat/completions is served here"),
        Some(reply) => reply,
        None => Reply::status(500, "the test gave this model server nothing to say"),
    };
    if let Some(gate) = &reply.gate {
        gate.passed().await;
    }
    if !reply.delay.is_zero() {
        tokio::time::sleep(reply.delay).await;
    }
    if let Content::Status(status, message) = &reply.content {
        return json_response(*status, &reply.headers, &wire::error(message));
    }
    let model = &asked.body["model"];
    if asked.body["stream"] == true {
        let (events, whole) = wire::events(&reply, model, asked.number);
        return stream_response(&reply, events, whole);
    }
    json_response(200, &reply.headers, &wire::completion(&reply, model, asked.number))
}

/// Writes the question down and takes its answer from the queue, or from the rule.
fn note(shared: &Mutex<Shared>, uri: &Uri, headers: &HeaderMap, body: Value) -> (Asked, Option<Reply>) {
    let mut shared = lock(shared);
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let asked = Asked { number: shared.asked.len(), path: uri.path().to_owned(), headers, body };
    shared.asked.push(asked.clone());
    let reply = match shared.queue.pop_front() {
        Some(reply) => Some(reply),
        None => shared.rule.clone().map(|rule| rule(&asked)),
    };
    (asked, reply)
}

fn json_response(status: u16, headers: &[(String, String)], body: &Value) -> Response {
    respond(status, "application/json", headers, Body::from(body.to_string()))
}

fn stream_response(reply: &Reply, events: Vec<String>, whole: bool) -> Response {
    // Before the words there is an event that opens the stream.
    let gate = |at: usize| reply.pauses.iter().find(|(words, _)| at == words + 1).map(|(_, gate)| gate.clone());
    let events: Vec<_> = events.into_iter().enumerate().map(|(at, event)| (gate(at), event)).collect();
    let events = futures::stream::iter(events).then(|(gate, event)| async move {
        if let Some(gate) = gate {
            gate.passed().await;
        }
        Ok::<_, std::io::Error>(event)
    });
    let body = if whole {
        Body::from_stream(events)
    } else {
        // An error in the body makes the server close the connection without the closing chunk.
        let cut = futures::stream::iter([Err(std::io::Error::other("cut on purpose"))]);
        Body::from_stream(events.chain(cut))
    };
    respond(200, "text/event-stream", &reply.headers, body)
}

fn respond(status: u16, content_type: &str, headers: &[(String, String)], body: Body) -> Response {
    let mut response = Response::builder().status(status).header("content-type", content_type);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    match response.body(body) {
        Ok(response) => response,
        Err(error) => panic!("the test asked for an impossible answer: {error}"),
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
