//! The provider against a server that speaks the Responses API, well and badly.

use std::sync::{Arc, Mutex};

use axum::{Json, Router, body::Bytes, http::Uri, response::IntoResponse, response::Response};
use futures::StreamExt;
use greenroom_contract::{
    port::llm::{Chunk, Error, Llm, Stop, Usage},
    task,
};
use serde_json::{Value, json};

use crate::llm::{
    openai::{OpenAi, Options, parse_base_url, testing::options},
    testing::request,
};

struct Server {
    base: String,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    _task: task::Scoped,
}

impl Server {
    /// Answers everything with this body, as a stream if it looks like one.
    async fn new(status: u16, body: String) -> Self {
        let asked = Arc::<Mutex<Vec<(String, Value)>>>::default();
        let memory = asked.clone();
        let handler = async move |uri: Uri, sent: Bytes| -> Response {
            let sent = serde_json::from_slice(&sent).unwrap_or_default();
            memory.lock().unwrap().push((uri.path().to_owned(), sent));
            let kind = if body.starts_with('{') { "application/json" } else { "text/event-stream" };
            let status = axum::http::StatusCode::from_u16(status).unwrap();
            (status, [("content-type", kind)], body.clone()).into_response()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/v1", listener.local_addr().unwrap());
        let router = Router::new().fallback(handler);
        let task = task::spawn_scoped("fake-responses", async move { axum::serve(listener, router).await.unwrap() });
        Self { base, asked, _task: task }
    }

    fn model(&self, model: &str) -> OpenAi {
        rustls::crypto::ring::default_provider().install_default().ok();
        let base = parse_base_url(Some(&self.base)).unwrap();
        OpenAi::new(crate::http_client().unwrap(), Options { base, ..options(model) })
    }
}

/// Events as OpenAI frames them.
fn stream(events: &[Value]) -> String {
    events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())).collect()
}

fn delta(text: &str) -> Value {
    json!({ "type": "response.output_text.delta", "output_index": 0, "delta": text })
}

fn completed() -> Value {
    let message = json!({ "type": "message", "content": [{ "type": "output_text", "text": "Hello" }] });
    let usage = json!({
        "input_tokens": 1000, "input_tokens_details": { "cached_tokens": 200, "cache_write_tokens": 0 },
        "output_tokens": 200, "output_tokens_details": { "reasoning_tokens": 50 }, "total_tokens": 1200
    });
    json!({
        "type": "response.completed",
        "response": { "status": "completed", "model": "gpt-6-luna-2026-09-01", "output": [message], "usage": usage }
    })
}

#[tokio::test]
async fn an_answer_streams_and_is_counted_and_priced() {
    let created = json!({ "type": "response.created", "response": { "status": "in_progress" } });
    let server = Server::new(200, stream(&[created, delta("Hel"), delta("lo"), completed()])).await;
    let model = server.model("gpt-6-luna");
    let chunks: Vec<_> = model.stream(request("hi")).map(Result::unwrap).collect().await;
    let texts: Vec<_> = chunks.iter().filter(|chunk| matches!(chunk, Chunk::Text(_))).cloned().collect();
    assert_eq!(texts, [Chunk::Text("Hel".to_owned()), Chunk::Text("lo".to_owned())]);
    let Some(Chunk::Done(response)) = chunks.last() else { panic!("the last chunk is the answer") };
    assert_eq!((response.text().as_str(), response.stop), ("Hello", Stop::EndTurn));
    let expected = Usage { input: 800, output: 200, cache_read: 200, reasoning: 50, ..Usage::default() };
    assert_eq!((response.usage, response.cost), (expected, model.cost(&expected)));
    assert_eq!(server.asked.lock().unwrap()[0].0, "/v1/responses");
}

#[tokio::test]
async fn failures_after_a_success_are_failures() {
    let failed = |code: &str| json!({ "type": "response.failed", "response": { "status": "failed", "error": { "code": code, "message": "x" } } });
    let error = |code: &str| json!({ "type": "error", "code": code, "message": "x", "sequence_number": 1 });
    for (event, code) in [
        (failed("server_error"), "provider_unavailable"),
        (failed("rate_limit_exceeded"), "rate_limited"),
        (failed("invalid_prompt"), "invalid_request"),
        (error("server_is_overloaded"), "provider_unavailable"),
        (error("insufficient_quota"), "quota_exhausted"),
    ] {
        let server = Server::new(200, stream(std::slice::from_ref(&event))).await;
        let failure = server.model("gpt-6-luna").complete(request("hi")).await.unwrap_err();
        assert_eq!(failure.code(), code, "{event}: {failure}");
    }
    // A stream that ends without its last event was cut.
    let cut = Server::new(200, stream(&[delta("Hel")])).await.model("gpt-6-luna").complete(request("hi")).await;
    assert!(matches!(cut, Err(Error::Interrupted { .. })));
}

#[tokio::test]
async fn tokens_are_counted_by_openai_or_else_estimated_and_flagged() {
    let server = Server::new(200, json!({ "object": "response.input_tokens", "input_tokens": 37 }).to_string()).await;
    let counted = server.model("gpt-6-luna").count_tokens(&request("hi")).await.unwrap();
    assert_eq!(counted, Usage { input: 37, ..Usage::default() });
    let asked = server.asked.lock().unwrap().remove(0);
    assert_eq!((asked.0.as_str(), &asked.1["model"]), ("/v1/responses/input_tokens", &json!("gpt-6-luna")));
    assert_eq!(asked.1.get("max_output_tokens").or(asked.1.get("store")), None, "that is no part of the input");

    let refusing = Server::new(404, json!({ "error": { "message": "no" } }).to_string()).await;
    let estimated = refusing.model("gpt-6-luna").count_tokens(&request("hello world")).await.unwrap();
    assert!(estimated.estimated && (2..=6).contains(&estimated.input), "{estimated:?}");
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_understood() {
    let whole = Json(completed()["response"].clone());
    let body = json!({ "object": "response", "error": null, "status": "completed", "output": whole.0["output"] });
    let answer = Server::new(200, body.to_string()).await.model("gpt-6-luna").complete(request("hi")).await.unwrap();
    assert_eq!((answer.text().as_str(), answer.usage.estimated), ("Hello", true));
}
