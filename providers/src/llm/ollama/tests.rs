//! The provider against a server that speaks Ollama's API, well and badly.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use greenroom_contract::{
    money::MicroUsd,
    port::llm::{Chunk, Error, Llm, Part, Stop, Usage},
    task,
};
use serde_json::{Value, json};

use super::{Ollama, Options, parse_host};
use crate::llm::testing::request;

struct Server {
    host: String,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    _task: task::Scoped,
}

impl Server {
    async fn new(status: u16, lines: &[Value]) -> Self {
        let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let asked = Arc::<Mutex<Vec<(String, Value)>>>::default();
        let memory = asked.clone();
        let handler = async move |uri: Uri, sent: Bytes| -> Response {
            memory.lock().unwrap().push((uri.path().to_owned(), serde_json::from_slice(&sent).unwrap_or_default()));
            let status = StatusCode::from_u16(status).unwrap();
            (status, [("content-type", "application/x-ndjson")], body.clone()).into_response()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let router = Router::new().fallback(handler);
        let task = task::spawn_scoped("fake-ollama", async move { axum::serve(listener, router).await.unwrap() });
        Self { host, asked, _task: task }
    }

    fn model(&self) -> Ollama {
        rustls::crypto::ring::default_provider().install_default().ok();
        let options = Options {
            base: parse_host(Some(&self.host)).unwrap(),
            authorization: None,
            key_name: "OLLAMA_API_KEY".to_owned(),
            model: "llama5".to_owned(),
            own: None,
            capabilities: Default::default(),
            account: Arc::default(),
        };
        Ollama::new(crate::http_client().unwrap(), options)
    }
}

fn said(text: &str) -> Value {
    json!({ "model": "llama5:latest", "message": { "role": "assistant", "content": text }, "done": false })
}

fn done() -> Value {
    let message = json!({ "role": "assistant", "content": "" });
    json!({ "model": "llama5:latest", "message": message, "done": true, "done_reason": "stop", "prompt_eval_count": 26, "eval_count": 2 })
}

#[tokio::test]
async fn an_answer_streams_is_counted_and_costs_nothing() {
    let server = Server::new(200, &[said("Hel"), said("lo"), done()]).await;
    let chunks: Vec<_> = server.model().stream(request("hi")).map(Result::unwrap).collect().await;
    let texts: Vec<_> = chunks.iter().filter(|chunk| matches!(chunk, Chunk::Text(_))).cloned().collect();
    assert_eq!(texts, [Chunk::Text("Hel".to_owned()), Chunk::Text("lo".to_owned())]);
    let Some(Chunk::Done(response)) = chunks.last() else { panic!("the last chunk is the answer") };
    assert_eq!(
        (response.text().as_str(), response.stop, response.model.as_str()),
        ("Hello", Stop::EndTurn, "llama5:latest")
    );
    assert_eq!(response.usage, Usage { input: 26, output: 2, ..Usage::default() });
    assert_eq!(response.cost, Some(MicroUsd(0)));
    assert_eq!(server.asked.lock().unwrap()[0].0, "/api/chat");
}

#[tokio::test]
async fn a_tool_is_asked_for_whatever_the_reason_says() {
    let call = json!({ "function": { "name": "look", "arguments": { "at": "it" } } });
    let asks = json!({ "message": { "role": "assistant", "content": "", "tool_calls": [call] }, "done": false });
    let answer = Server::new(200, &[asks, done()]).await.model().complete(request("hi")).await.unwrap();
    assert_eq!(answer.stop, Stop::ToolUse);
    assert!(matches!(&answer.parts[0], Part::ToolUse(ask) if ask.input == json!({ "at": "it" }) && !ask.id.is_empty()));
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    for (status, text, code) in [
        (404, "model 'llama5' not found", "invalid_request"),
        (401, "unauthorized", "authentication"),
        (429, "too many", "rate_limited"),
        (503, "server busy, please try again.  maximum pending requests exceeded", "provider_unavailable"),
        (500, "llama runner process has terminated", "provider_unavailable"),
        (400, "the prompt exceeds the context length", "context_too_long"),
        (400, "bad", "invalid_request"),
    ] {
        let error =
            Server::new(status, &[json!({ "error": text })]).await.model().complete(request("hi")).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(status != 404 || error.to_string().contains("ollama pull llama5"), "{error}");
    }
}

#[tokio::test]
async fn an_error_in_a_stream_and_a_cut_stream_are_errors() {
    let error = json!({ "error": "an error was encountered while running the model" });
    let failed = Server::new(200, &[said("Hel"), error]).await.model().complete(request("hi")).await;
    assert!(matches!(failed, Err(Error::Unavailable { .. })));
    let cut = Server::new(200, &[said("Hel")]).await.model().complete(request("hi")).await;
    assert!(matches!(cut, Err(Error::Interrupted { .. })));
    let broken = Server::new(200, &[json!("Hel")]).await.model().complete(request("hi")).await;
    assert!(broken.is_err());
}
