//! The server.

use std::{
    collections::VecDeque,
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};
use bytes::Bytes;
use futures::stream;
use greenroom_contract::task::{Scoped, spawn_scoped};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Dialect, Exchange, Fault, Heard, When};
use crate::{model::Asked, wait};

/// A vendor's server. It ends when it is dropped.
pub struct Vendor {
    address: SocketAddr,
    shared: Arc<Shared>,
    _serving: Scoped,
}

struct Shared {
    dialect: Arc<dyn Dialect>,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    asked: Vec<(Asked, Instant)>,
    asides: Vec<Asked>,
    queue: VecDeque<Exchange>,
    always: Option<Exchange>,
    counted: u64,
    hung_up: usize,
}

impl Vendor {
    /// Starts a server on a free port. Without [`Self::then`] or [`Self::always`] it answers 500 and says so.
    pub async fn start(dialect: Arc<dyn Dialect>) -> Self {
        let shared = Arc::new(Shared { dialect, notes: Mutex::default() });
        let (listener, address) = match TcpListener::bind("127.0.0.1:0").await.and_then(|l| Ok((l.local_addr()?, l))) {
            Ok((address, listener)) => (listener, address),
            Err(error) => panic!("the vendor's server cannot listen: {error}"),
        };
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let serving = spawn_scoped("kit vendor server", async move {
            axum::serve(listener, app).await.ok();
        });
        Self { address, shared, _serving: serving }
    }

    /// Plays this next; several are played in order, one for each question.
    pub fn then(&self, exchange: Exchange) -> &Self {
        self.notes().queue.push_back(exchange);
        self
    }

    /// Plays this whenever nothing is in the queue.
    pub fn always(&self, exchange: Exchange) -> &Self {
        self.notes().always = Some(exchange);
        self
    }

    /// Counts so many tokens when it is asked to count.
    pub fn counts(&self, tokens: u64) -> &Self {
        self.notes().counted = tokens;
        self
    }

    /// Its address, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often the model was asked, answered or not.
    pub fn attempts(&self) -> usize {
        self.notes().asked.len()
    }

    /// All questions so far, as they came.
    pub fn asked(&self) -> Vec<Asked> {
        self.notes().asked.iter().map(|(asked, _)| asked.clone()).collect()
    }

    /// All questions so far, understood.
    pub fn heard(&self) -> Vec<Heard> {
        self.asked().iter().map(|asked| self.shared.dialect.heard(asked)).collect()
    }

    /// How long after the one before each question came, beginning with the second.
    pub fn gaps(&self) -> Vec<Duration> {
        let notes = self.notes();
        notes.asked.windows(2).map(|pair| pair[1].1.duration_since(pair[0].1)).collect()
    }

    /// What came in besides questions.
    pub fn asides(&self) -> Vec<Asked> {
        self.notes().asides.clone()
    }

    /// Waits until so many questions have come in.
    pub async fn wait_for_attempts(&self, attempts: usize) {
        wait::seen(&format!("{attempts} questions"), wait::PATIENCE, async || {
            let now = self.attempts();
            if now >= attempts { Ok(()) } else { Err(format!("{now} came")) }
        })
        .await;
    }

    /// Waits until so many clients have hung up before their answer was whole.
    pub async fn wait_for_hang_ups(&self, clients: usize) {
        wait::seen(&format!("{clients} clients to hang up"), wait::PATIENCE, async || {
            let now = self.notes().hung_up;
            if now >= clients { Ok(()) } else { Err(format!("{now} did")) }
        })
        .await;
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.shared.notes()
    }
}

impl fmt::Debug for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, attempts) = (self.shared.dialect.name(), self.attempts());
        f.debug_struct("Vendor").field("dialect", &name).field("attempts", &attempts).finish_non_exhaustive()
    }
}

impl Shared {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let mut asked = Asked { number: 0, path: uri.path().to_owned(), headers, body };
    if !shared.dialect.asks(&asked) {
        let counted = {
            let mut notes = shared.notes();
            notes.asides.push(asked.clone());
            notes.counted
        };
        let not_here = || (404, json!({ "error": { "message": format!("{uri} is not served here") } }));
        let (status, body) = shared.dialect.aside(&asked, counted).unwrap_or_else(not_here);
        return respond(status, "application/json", &[], Body::from(body.to_string()));
    }
    let exchange = {
        let mut notes = shared.notes();
        asked.number = notes.asked.len();
        notes.asked.push((asked.clone(), Instant::now()));
        notes.queue.pop_front().or_else(|| notes.always.clone())
    };
    let Some(exchange) = exchange else {
        let body = Body::from("the test gave this server nothing to say");
        return respond(500, "text/plain", &[], body);
    };
    if !exchange.delay.is_zero() {
        tokio::time::sleep(exchange.delay).await;
    }
    match exchange.fault {
        Some(Fault::Mute) => {
            let _noticed = HangUp { shared, done: false };
            std::future::pending().await
        }
        Some(Fault::Refuse(refusal)) => {
            let Some(refused) = shared.dialect.refusal(refusal) else {
                panic!("{} has no {refusal:?}", shared.dialect.name());
            };
            let own = refused.headers.into_iter().map(|(name, value)| (name.to_owned(), value));
            let headers: Vec<_> = own.chain(exchange.headers).collect();
            respond(refused.status, "application/json", &headers, Body::from(repeating(&refused.body, &asked)))
        }
        _ => {
            let steps = steps(&*shared.dialect, &exchange, &asked);
            let body = play(steps, exchange.pace, HangUp { shared: Arc::clone(&shared), done: false });
            respond(200, shared.dialect.content_type(), &exchange.headers, body)
        }
    }
}

/// The refusal with the credentials in it that the client showed.
fn repeating(body: &Value, asked: &Asked) -> String {
    let shown = asked.header("x-api-key").or_else(|| asked.header("authorization")).unwrap_or_default();
    let key = shown.strip_prefix("Bearer ").unwrap_or(shown);
    body.to_string().replace("reason: reason", &format!("reason: {key}"))
}

enum Step {
    Send(Bytes),
    Cut,
    Hang,
}

fn steps(dialect: &dyn Dialect, exchange: &Exchange, asked: &Asked) -> Vec<Step> {
    let frames = dialect.frames(&exchange.said, asked, exchange.strange);
    let first_text = frames.iter().position(|frame| frame.text).unwrap_or(frames.len().saturating_sub(1));
    let send = |frames: &[super::Frame]| frames.iter().map(|frame| Step::Send(frame.bytes.clone())).collect::<Vec<_>>();
    let until = |when| match when {
        When::BeforeText => send(&frames[..first_text]),
        When::AfterText => send(&frames[..=first_text]),
        When::BeforeCount => match frames.iter().position(|frame| frame.end) {
            Some(end) => send(&frames[..=end]),
            None => panic!("{} does not say which frame ends the model's answer", dialect.name()),
        },
    };
    let and = |mut steps: Vec<Step>, last| {
        steps.push(last);
        steps
    };
    match exchange.fault {
        None | Some(Fault::Refuse(_) | Fault::Mute) => send(&frames),
        Some(Fault::ErrorInStream(when, refusal)) => {
            let Some(error) = dialect.error_frame(refusal) else {
                panic!("{} has no {refusal:?} in streams", dialect.name());
            };
            and(until(when), Step::Send(error))
        }
        Some(Fault::Cut(when)) => and(until(when), Step::Cut),
        Some(Fault::Silent(when)) => and(until(when), Step::Hang),
        Some(Fault::Malformed) => vec![Step::Send(dialect.garbage())],
        Some(Fault::Empty) => Vec::new(),
    }
}

fn play(steps: Vec<Step>, pace: Duration, noticed: HangUp) -> Body {
    Body::from_stream(stream::unfold((steps.into_iter(), noticed), move |(mut steps, mut noticed)| async move {
        // Lets each piece go out by itself.
        tokio::task::yield_now().await;
        match steps.next() {
            Some(Step::Send(bytes)) => {
                if !pace.is_zero() {
                    tokio::time::sleep(pace).await;
                }
                Some((Ok(bytes), (steps, noticed)))
            }
            // An error in the body makes the server close the connection without the closing chunk.
            Some(Step::Cut) => {
                noticed.done = true;
                Some((Err(io::Error::other("cut on purpose")), (steps, noticed)))
            }
            Some(Step::Hang) => std::future::pending().await,
            None => {
                noticed.finish();
                None
            }
        }
    }))
}

/// Counts a client that went away before its answer was whole.
struct HangUp {
    shared: Arc<Shared>,
    done: bool,
}

impl HangUp {
    /// The answer is whole.
    fn finish(mut self) {
        self.done = true;
    }
}

impl Drop for HangUp {
    fn drop(&mut self) {
        if !self.done {
            self.shared.notes().hung_up += 1;
        }
    }
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
