//! The model: a server that speaks OpenAI's chat completions and counts, by the key of each call, how often it was asked.
//! It lives in this process and so survives the nodes that are killed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use greenroom_contract::task::{Scoped, spawn_scoped};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// So long an answer takes: long enough to be killed in.
const THOUGHT: Duration = Duration::from_millis(40);

pub(super) struct Model {
    pub(super) url: String,
    shared: Arc<Shared>,
    _serving: Scoped,
}

struct Shared {
    topic: String,
    asked: Mutex<BTreeMap<String, u32>>,
}

impl Model {
    /// Starts it. `topic` is where the events go that it has agents send.
    pub(super) async fn start(topic: String) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/v1", listener.local_addr()?);
        let shared = Arc::new(Shared { topic, asked: Mutex::default() });
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let serving = spawn_scoped("selftest-model", async move {
            axum::serve(listener, app).await.ok();
        });
        Ok(Self { url, shared, _serving: serving })
    }

    /// How often it was asked under each key.
    pub(super) fn ledger(&self) -> BTreeMap<String, u32> {
        self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else { return StatusCode::NOT_FOUND.into_response() };
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or("none").to_owned();
    *shared.asked.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
    tokio::time::sleep(THOUGHT).await;
    ([(CONTENT_TYPE, "text/event-stream")], events(&body, &shared.topic)).into_response()
}

/// First it asks for the tool that it is offered, then it is done.
fn events(body: &Value, topic: &str) -> String {
    let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let turns = messages.iter().filter(|message| message["role"] == "assistant").count();
    let tool = body["tools"][0]["function"]["name"].as_str().unwrap_or_default();
    let (delta, stop) = match (turns, tool) {
        (0, "") => (json!({"role": "assistant", "content": "There is no tool."}), "stop"),
        (0, tool) => {
            let arguments = json!({"topic": topic, "payload": "heard?"});
            let call = json!({"index": 0, "id": "call_0", "type": "function",
                "function": {"name": tool, "arguments": arguments.to_string()}});
            (json!({"role": "assistant", "content": null, "tool_calls": [call]}), "tool_calls")
        }
        _ => (json!({"role": "assistant", "content": "done"}), "stop"),
    };
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({
            "id": "chatcmpl-0", "object": "chat.completion.chunk", "created": 0, "model": body["model"],
            "choices": choices, "usage": usage,
        });
        format!("data: {chunk}\n\n")
    };
    let usage = json!({"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100});
    [
        chunk(json!([{"index": 0, "delta": delta, "finish_reason": null}]), Value::Null),
        chunk(json!([{"index": 0, "delta": {}, "finish_reason": stop}]), Value::Null),
        chunk(json!([]), usage),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat()
}
