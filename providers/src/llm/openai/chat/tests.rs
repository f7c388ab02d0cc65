//! The provider against a server that misbehaves on purpose.

use std::{sync::Mutex, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    http::HeaderMap,
    response::Response,
    routing::post,
};
use futures::{StreamExt, future::ready, stream};
use greenroom_contract::{
    execution::Effect,
    money::MicroUsd,
    port::{
        llm::{Chunk, Error, Llm, Part, Request, Stop},
        tool::ToolSpec,
    },
    task,
};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::llm::{
    openai::{Api, Dialect, OpenAi, Options, bearer, parse_base_url},
    testing::request,
};

/// A server that answers every request with this, and remembers what it was asked.
struct Server {
    base: String,
    asked: std::sync::Arc<Mutex<Vec<(HeaderMap, Value)>>>,
    _task: task::Scoped,
}

impl Server {
    async fn new(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Self {
        let asked: std::sync::Arc<Mutex<Vec<(HeaderMap, Value)>>> = std::sync::Arc::default();
        let memory = asked.clone();
        let handler = async move |headers: HeaderMap, body: Bytes| {
            memory.lock().unwrap().push((headers, serde_json::from_slice(&body).unwrap()));
            answer()
        };
        let router = Router::new().route("/v1/chat/completions", post(handler));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/v1", listener.local_addr().unwrap());
        let task = task::spawn_scoped("fake-openai", async move { axum::serve(listener, router).await.unwrap() });
        Self { base, asked, _task: task }
    }

    /// A stream of these pieces.
    async fn streaming(pieces: &[&str]) -> Self {
        let pieces: Vec<String> = pieces.iter().map(|piece| (*piece).to_owned()).collect();
        Self::new(move || respond(200, "text/event-stream", &[], stream_of(pieces.clone(), false))).await
    }

    async fn failing(status: u16, headers: &'static [(&'static str, &'static str)], body: Value) -> Self {
        Self::new(move || respond(status, "application/json", headers, Body::from(body.to_string()))).await
    }

    fn model(&self, dialect: Dialect, model: &str) -> OpenAi {
        model_at(&self.base, dialect, model)
    }

    async fn ask(&self) -> Result<greenroom_contract::port::llm::Response, Error> {
        self.model(Dialect::Compatible, "m").complete(short(request("hi"))).await
    }
}

fn model_at(base: &str, dialect: Dialect, model: &str) -> OpenAi {
    rustls::crypto::ring::default_provider().install_default().ok();
    let key = bearer("OPENAI_API_KEY", &SecretString::from("sk-canary")).unwrap();
    let base = parse_base_url(Some(base)).unwrap();
    let key_name = "OPENAI_API_KEY".to_owned();
    let options = Options {
        base,
        authorization: Some(key),
        key_name,
        dialect,
        api: Api::Chat,
        ..crate::llm::openai::testing::options(model)
    };
    OpenAi::new(crate::http_client().unwrap(), options)
}

/// Sockets do not know paused time, so the limit of silence is short.
fn short(request: Request) -> Request {
    Request { silence: Duration::from_millis(300), ..request }
}

fn respond(status: u16, content_type: &str, headers: &[(&str, &str)], body: Body) -> Response {
    let mut response = Response::builder().status(status).header("content-type", content_type);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body).unwrap()
}

fn stream_of(pieces: Vec<String>, then_silence: bool) -> Body {
    let pieces = stream::iter(pieces).then(|piece| async {
        // Lets each piece go out by itself.
        tokio::task::yield_now().await;
        Ok::<_, std::io::Error>(piece)
    });
    match then_silence {
        true => Body::from_stream(pieces.chain(stream::pending())),
        false => Body::from_stream(pieces),
    }
}

const HELLO: &str = r#"data: {"model":"m-2026","choices":[{"index":0,"delta":{"content":"Hel"}}]}

data: {"choices":[{"index":0,"delta":{"content":"lo"}}]}

"#;
const STOP: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":200}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

#[tokio::test]
async fn an_answer_streams_and_is_counted_and_priced() {
    let server = Server::streaming(&[HELLO, STOP, USAGE, DONE]).await;
    let model = server.model(Dialect::OpenAi, "gpt-6-luna");
    let chunks: Vec<_> = model.stream(request("hi")).map(Result::unwrap).collect().await;
    let texts: Vec<_> = chunks.iter().filter(|chunk| matches!(chunk, Chunk::Text(_))).collect();
    assert_eq!(texts, [&Chunk::Text("Hel".to_owned()), &Chunk::Text("lo".to_owned())]);
    let Some(Chunk::Done(response)) = chunks.last() else { panic!("the last chunk is the answer") };
    assert_eq!((response.text().as_str(), response.stop, response.model.as_str()), ("Hello", Stop::EndTurn, "m-2026"));
    assert_eq!((response.usage.input, response.usage.output, response.usage.estimated), (1000, 200, false));
    assert_eq!(response.cost, Some(MicroUsd(200)));

    let asked = server.asked.lock().unwrap();
    let (headers, body) = &asked[0];
    assert_eq!(headers["authorization"], "Bearer sk-canary");
    assert_eq!(headers["idempotency-key"], "key-1");
    assert_eq!((&body["stream"], &body["stream_options"]["include_usage"]), (&json!(true), &json!(true)));
}

#[tokio::test]
async fn a_stream_may_lack_nearly_everything() {
    // No [DONE], no usage, comments, \r\n, and cut within a line.
    let pieces = [
        ": PROCESSING\r\n\r\n",
        "data: {\"choices\":[{\"delta\":{\"con",
        "tent\":\"Hello\"}}]}\r\n\r\n",
        STOP.trim_end(),
    ];
    let response = Server::streaming(&pieces).await.ask().await.unwrap();
    assert_eq!((response.text().as_str(), response.stop, response.cost), ("Hello", Stop::EndTurn, None));
    assert!(response.usage.estimated && response.usage.output > 0);
    assert_eq!(response.provider, "openai-compatible");
    // No reason, but [DONE].
    assert_eq!(Server::streaming(&[HELLO, DONE]).await.ask().await.unwrap().stop, Stop::EndTurn);
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_understood() {
    let whole = json!({
        "choices": [{ "message": { "content": "Hello" }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 3, "completion_tokens": 1 }
    });
    for content_type in ["application/json", "text/event-stream", "text/plain"] {
        let body = format!("\n {whole}");
        let server = Server::new(move || respond(200, content_type, &[], Body::from(body.clone()))).await;
        let model = server.model(Dialect::Compatible, "m");
        let chunks = model.stream(request("hi")).map(Result::unwrap).filter(|chunk| ready(*chunk != Chunk::Progress));
        let chunks: Vec<_> = chunks.collect().await;
        let [Chunk::Text(text), Chunk::Done(response)] = &chunks[..] else { panic!("{chunks:?}") };
        assert_eq!(text, "Hello");
        assert_eq!((response.text().as_str(), response.usage.input), ("Hello", 3));
    }
}

#[tokio::test]
async fn a_tool_is_asked_for_and_its_answer_goes_back() {
    let piece = |delta: Value| format!("data: {}\n\n", json!({ "choices": [{ "delta": { "tool_calls": [delta] } }] }));
    let ask = [
        &piece(json!({ "index": 0, "id": "c1", "function": { "name": "look", "arguments": "{\"a" } })),
        &piece(json!({ "index": 0, "function": { "arguments": "t\":1}" } })),
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n",
        DONE,
    ];
    let server = Server::streaming(&ask).await;
    let mut question = request("look at it");
    let (name, description) = ("look".to_owned(), "Looks.".to_owned());
    question.tools.push(ToolSpec { name, description, input_schema: json!({}), effect: Effect::None });
    let model = server.model(Dialect::Compatible, "m");
    let mut chunks: Vec<_> = model.stream(question).map(Result::unwrap).collect().await;
    assert!(chunks.contains(&Chunk::Progress), "pieces of arguments are signs of life");
    let Some(Chunk::Done(response)) = chunks.pop() else { panic!("the last chunk is the answer") };
    assert_eq!(response.stop, Stop::ToolUse);
    let asks = response.tool_uses();
    assert_eq!((asks[0].id.as_str(), asks[0].name.as_str(), &asks[0].input), ("c1", "look", &json!({ "at": 1 })));
    assert!(!response.parts.iter().any(|part| matches!(part, Part::Text { .. })));
}

#[tokio::test]
async fn an_error_after_http_200_is_an_error() {
    let error = "data: {\"error\":{\"message\":\"upstream fell over\",\"code\":502}}\n\n";
    let before = Server::streaming(&[error]).await.ask().await.unwrap_err();
    let within = Server::streaming(&[HELLO, error]).await.ask().await.unwrap_err();
    let whole =
        Server::failing(200, &[], json!({ "error": { "code": "insufficient_quota" } })).await.ask().await.unwrap_err();
    assert!(matches!(before, Error::Unavailable { .. }) && matches!(within, Error::Unavailable { .. }));
    assert!(matches!(whole, Error::QuotaExhausted { .. }));
}

#[tokio::test]
async fn a_cut_stream_is_an_error() {
    let within = Server::streaming(&[HELLO]).await.ask().await.unwrap_err();
    assert!(matches!(within, Error::Interrupted { .. }), "{within}");
    let before = Server::streaming(&["data: [DONE]\n\n"]).await.ask().await.unwrap_err();
    assert!(matches!(before, Error::Unavailable { .. }), "{before}");
    let nothing = Server::streaming(&[]).await.ask().await.unwrap_err();
    assert!(matches!(nothing, Error::Unavailable { .. }), "{nothing}");
    let broken = Server::streaming(&[HELLO, "data: {oh\n\n"]).await.ask().await.unwrap_err();
    assert!(matches!(broken, Error::Interrupted { .. }), "{broken}");
}

#[tokio::test]
async fn silence_ends_a_call_but_not_a_finished_answer() {
    let hanging = |pieces: &'static [&'static str]| {
        Server::new(move || {
            let pieces = pieces.iter().map(|piece| (*piece).to_owned()).collect();
            respond(200, "text/event-stream", &[], stream_of(pieces, true))
        })
    };
    let silent = hanging(&[HELLO]).await.ask().await.unwrap_err();
    assert!(matches!(silent, Error::Timeout { .. }), "{silent}");
    let finished = hanging(&[HELLO, STOP]).await.ask().await.unwrap();
    assert_eq!((finished.text().as_str(), finished.usage.estimated), ("Hello", true));

    // A server that takes the connection and says nothing at all.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let model = model_at(&format!("http://{}/v1", listener.local_addr().unwrap()), Dialect::Compatible, "m");
    let mute = model.complete(short(request("hi"))).await.unwrap_err();
    assert!(matches!(mute, Error::Timeout { .. }), "{mute}");
}

#[tokio::test]
async fn a_server_without_an_end_is_given_up() {
    let endless = || {
        let piece = format!(": {}\n\n", "x".repeat(64 * 1024));
        respond(200, "text/event-stream", &[], Body::from_stream(stream::repeat(piece).map(Ok::<_, std::io::Error>)))
    };
    let error = Server::new(endless).await.ask().await.unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }), "{error}");
}

#[tokio::test]
async fn comments_keep_a_slow_answer_alive() {
    let slow = || {
        let comments = stream::iter(0..5).then(|_| async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            Ok::<_, std::io::Error>(": still thinking\n\n".to_owned())
        });
        let rest = stream::iter([HELLO, STOP, DONE].map(|piece| Ok(piece.to_owned())));
        respond(200, "text/event-stream", &[], Body::from_stream(comments.chain(rest)))
    };
    let server = Server::new(slow).await;
    let model = server.model(Dialect::Compatible, "m");
    let chunks: Vec<_> = model.stream(short(request("hi"))).map(Result::unwrap).collect().await;
    assert!(chunks.iter().filter(|chunk| **chunk == Chunk::Progress).count() >= 5);
    assert!(matches!(chunks.last(), Some(Chunk::Done(response)) if response.text() == "Hello"));
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let limited = Server::failing(429, &[("retry-after", "7")], json!({ "error": { "message": "slow" } })).await;
    let error = limited.ask().await.unwrap_err();
    assert!(matches!(error, Error::RateLimited { retry_after: Some(wait), .. } if wait == Duration::from_secs(7)));
    let wrong_key = Server::failing(401, &[], json!({ "error": { "message": "no such key: sk-canary" } })).await;
    let error = wrong_key.ask().await.unwrap_err();
    assert!(matches!(error, Error::Authentication { .. }));
    assert!(error.to_string().contains("OPENAI_API_KEY") && !error.to_string().contains("canary"), "{error}");
    let moved = Server::failing(307, &[("location", "http://127.0.0.1:9/elsewhere")], json!({})).await;
    assert!(matches!(moved.ask().await.unwrap_err(), Error::InvalidRequest { .. }));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let model = model_at(&format!("http://me:hush@{address}/v1"), Dialect::Compatible, "m");
    let error = model.complete(request("hi")).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }));
    let text = error.to_string();
    assert!(text.contains(&address.to_string()) && text.contains("refused") && !text.contains("hush"), "{text}");
}
