//! What a model call costs besides the model: the whole provider (form, fallback, retries, guard, wire) beside a bare
//! `reqwest` call of the same request to the same server in the same run.
//!
//! The server is a process of its own. It answers at once, so that a call's time is the wire's and the client's; what a
//! provider adds is the difference between its calls and the bare ones, which take turns. Aims: 0.2 ms in the median,
//! 1 ms at the 99th percentile with 64 at a time, 0.1 ms to the first token, 1,000 streams in bounded memory.
#![expect(clippy::panic, clippy::print_stdout, reason = "a measurement is printed, and one that fails stops")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, extract::Path, response::Response, routing::post};
use bytes::Bytes;
use futures::{StreamExt, future::join_all, stream};
use greenroom_config::{Environment, ProviderRules, spec::LlmConfig};
use greenroom_contract::{
    NodeId,
    port::llm::{Chunk, Llm, Message, Request, Role},
    tree::Table,
};
use greenroom_providers::Providers;
use reqwest::Client;
use serde_json::json;

/// Pieces of an answer.
const PIECES: usize = 50;
const ROUNDS: usize = 40;
const STREAMS: usize = 1000;

fn main() {
    rustls::crypto::ring::default_provider().install_default().ok();
    if std::env::args().any(|arg| arg == "--serve") {
        return runtime(1).block_on(serve());
    }
    let server = Server::start();
    runtime(2).block_on(measure(&server.url));
}

fn runtime(threads: usize) -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    runtime.unwrap_or_else(|error| panic!("{error}"))
}

async fn measure(url: &str) {
    for (name, config, path) in [
        ("Responses API", json!({ "provider": "openai", "model": "gpt-6-sol", "api": "responses" }), "responses"),
        ("chat completions", json!({ "provider": "openai-compatible", "model": "m" }), "chat/completions"),
    ] {
        let base = format!("{url}/at-once/v1");
        let (llm, bare) = (provider(&base, config.clone()).await, Bare::new(&base, path));
        for at_a_time in [1, 64] {
            compare(name, &*llm, &bare, at_a_time).await;
        }
    }
    let base = format!("{url}/slowly/v1");
    let llm = provider(&base, json!({ "provider": "openai", "model": "gpt-6-sol", "api": "responses" })).await;
    hold(&llm).await;
}

/// Calls that take turns: a round of bare ones, a round of the provider's.
async fn compare(name: &str, llm: &dyn Llm, bare: &Bare, at_a_time: usize) {
    let calls = if at_a_time == 1 { 50 } else { at_a_time };
    let (mut theirs, mut ours) = (Times::default(), Times::default());
    for round in 0..ROUNDS + 2 {
        let bare_calls = times(at_a_time, calls, || bare.call()).await;
        let our_calls = times(at_a_time, calls, || call(llm)).await;
        // The first rounds open connections.
        if round >= 2 {
            theirs.add(bare_calls);
            ours.add(our_calls);
        }
    }
    println!("{name}, {at_a_time} at a time, {} calls each, {PIECES} pieces an answer", ours.whole.len());
    theirs.print("bare reqwest, whole answer", "bare reqwest, first piece");
    ours.print("provider, whole answer", "provider, first token");
    let added = |of: fn(&mut Times) -> &mut Vec<Duration>, share: f64, theirs: &mut Times, ours: &mut Times| {
        (percentile(of(ours), share).as_secs_f64() - percentile(of(theirs), share).as_secs_f64()) * 1e3
    };
    println!(
        "  added: {:+.3} ms p50, {:+.3} ms p99 (aim 0.2, and 1 at 64 at a time); first token {:+.3} ms p50 (aim 0.1)",
        added(|times| &mut times.whole, 0.5, &mut theirs, &mut ours),
        added(|times| &mut times.whole, 0.99, &mut theirs, &mut ours),
        added(|times| &mut times.first, 0.5, &mut theirs, &mut ours),
    );
}

/// Many streams that are open at the same time.
async fn hold(llm: &Arc<dyn Llm>) {
    let before = resident();
    let (mut most, begun) = (before, Instant::now());
    let streams = (0..STREAMS).map(|_| {
        let llm = Arc::clone(llm);
        async move {
            let mut chunks = llm.stream(request());
            let mut text = 0;
            while let Some(chunk) = chunks.next().await {
                match chunk.unwrap_or_else(|error| panic!("a stream broke: {error}")) {
                    Chunk::Text(piece) => text += piece.len(),
                    Chunk::Progress => {}
                    Chunk::Done(answer) => assert_eq!(answer.text().len(), text, "what was streamed is the answer"),
                }
            }
            text
        }
    });
    let all = async { join_all(streams).await.into_iter().sum::<usize>() };
    let mut all = std::pin::pin!(all);
    let text = loop {
        match tokio::time::timeout(Duration::from_millis(250), all.as_mut()).await {
            Ok(text) => break text,
            Err(_) => most = most.max(resident()),
        }
    };
    println!("{STREAMS} streams at a time, {:.1} s, {text} bytes of text", begun.elapsed().as_secs_f64());
    let each = most.saturating_sub(before) as f64 / STREAMS as f64;
    println!(
        "  resident memory {:.1} MB before, {:.1} MB at most: {each:.1} KiB a stream",
        before as f64 / 1024.0,
        most as f64 / 1024.0
    );
}

/// The times of some calls: to the first piece, and to the end.
#[derive(Default)]
struct Times {
    first: Vec<Duration>,
    whole: Vec<Duration>,
}

impl Times {
    fn add(&mut self, calls: Vec<(Duration, Duration)>) {
        for (first, whole) in calls {
            self.first.push(first);
            self.whole.push(whole);
        }
    }

    fn print(&mut self, whole: &str, first: &str) {
        for (name, times) in [(whole, &mut self.whole), (first, &mut self.first)] {
            let ms = |share, times: &mut Vec<Duration>| percentile(times, share).as_secs_f64() * 1e3;
            println!("  {name:<28} p50 {:>7.3} ms   p99 {:>7.3} ms", ms(0.5, times), ms(0.99, times));
        }
    }
}

async fn times<F: Future<Output = (Duration, Duration)>>(
    at_a_time: usize,
    calls: usize,
    call: impl Fn() -> F,
) -> Vec<(Duration, Duration)> {
    stream::iter(0..calls).map(|_| call()).buffer_unordered(at_a_time).collect().await
}

async fn call(llm: &dyn Llm) -> (Duration, Duration) {
    let request = request();
    let begun = Instant::now();
    let mut chunks = llm.stream(request);
    let mut first = None;
    while let Some(chunk) = chunks.next().await {
        if let Chunk::Text(_) = chunk.unwrap_or_else(|error| panic!("{error}")) {
            first.get_or_insert_with(|| begun.elapsed());
        }
    }
    (first.unwrap_or_default(), begun.elapsed())
}

/// The same request without anything round it.
struct Bare {
    http: Client,
    url: String,
    body: Bytes,
}

impl Bare {
    fn new(base: &str, path: &str) -> Self {
        let http = greenroom_providers::http_client().unwrap_or_else(|error| panic!("{error}"));
        let content = json!([{ "type": "input_text", "text": QUESTION }]);
        let body = json!({
            "model": "gpt-6-sol", "input": [{ "type": "message", "role": "user", "content": content }],
            "instructions": SYSTEM, "stream": true, "store": false, "max_output_tokens": 500,
        });
        Self { http, url: format!("{base}/{path}"), body: body.to_string().into() }
    }

    async fn call(&self) -> (Duration, Duration) {
        let begun = Instant::now();
        let post = self.http.post(&self.url).header("content-type", "application/json").body(self.body.clone());
        let mut response = post.send().await.unwrap_or_else(|error| panic!("{error}"));
        let mut first = None;
        while let Some(piece) = response.chunk().await.unwrap_or_else(|error| panic!("{error}")) {
            drop(piece);
            first.get_or_insert_with(|| begun.elapsed());
        }
        (first.unwrap_or_default(), begun.elapsed())
    }
}

const SYSTEM: &str = "You answer customers of a small web shop. Be kind, brief and exact.";
const QUESTION: &str = "Where is my order of last Monday, and when will it be with me?";

async fn provider(base: &str, config: serde_json::Value) -> Arc<dyn Llm> {
    let env = Environment::from_pairs([("OPENAI_BASE_URL", base), ("OPENAI_API_KEY", "sk-bench")]);
    let http = greenroom_providers::http_client().unwrap_or_else(|error| panic!("{error}"));
    let config: LlmConfig = serde_json::from_value(config).unwrap_or_else(|error| panic!("{error}"));
    let providers = Providers::new(&env, http).under(ProviderRules::default(), Table::new(&NodeId::new("bench")));
    providers.build(&config).await.unwrap_or_else(|error| panic!("{error}"))
}

fn request() -> Request {
    Request {
        system: Some(SYSTEM.to_owned()),
        messages: vec![Message::text(Role::User, QUESTION)],
        tools: Vec::new(),
        max_tokens: 500,
        temperature: None,
        effort: None,
        output: None,
        idempotency_key: "bench".to_owned(),
        silence: Duration::from_secs(30),
    }
}

fn percentile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    let at = ((times.len() as f64 - 1.0) * share).round() as usize;
    times.get(at).copied().unwrap_or_default()
}

/// In KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// The server, a process of its own.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start() -> Self {
        let program = std::env::current_exe().unwrap_or_else(|error| panic!("{error}"));
        let child = Command::new(program).arg("--serve").stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("the server does not start: {error}"));
        let mut url = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut url).unwrap_or_else(|error| panic!("{error}"));
        }
        Self { child, url: url.trim().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

async fn serve() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap_or_else(|error| panic!("{error}"));
    let address = listener.local_addr().unwrap_or_else(|error| panic!("{error}"));
    println!("http://{address}");
    let (responses, chat) = (Bytes::from(responses_events().concat()), Bytes::from(chat_events().concat()));
    let pieces: Arc<Vec<Bytes>> = Arc::new(responses_events().into_iter().map(Bytes::from).collect());
    let answer = async move |Path((pace, path)): Path<(String, String)>| {
        let body = match (pace.as_str(), path.as_str()) {
            ("slowly", _) => slowly(Arc::clone(&pieces)),
            (_, "responses") => Body::from(responses),
            _ => Body::from(chat),
        };
        let response = Response::builder().header("content-type", "text/event-stream").body(body);
        response.unwrap_or_else(|error| panic!("{error}"))
    };
    let router = Router::new().route("/{pace}/v1/{*path}", post(answer));
    axum::serve(listener, router).await.ok();
}

/// A piece every 100 ms: with as many streams as are held, all of them are open together.
fn slowly(pieces: Arc<Vec<Bytes>>) -> Body {
    Body::from_stream(stream::unfold(0, move |at| {
        let pieces = Arc::clone(&pieces);
        async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Some((Ok::<_, std::io::Error>(pieces.get(at)?.clone()), at + 1))
        }
    }))
}

fn responses_events() -> Vec<String> {
    let event = |kind: &str, mut data: serde_json::Value| {
        data["type"] = kind.into();
        format!("event: {kind}\ndata: {data}\n\n")
    };
    let words: Vec<String> = (0..PIECES).map(|number| format!("word{number} ")).collect();
    let delta = |word: &String| {
        let data = json!({ "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": word });
        event("response.output_text.delta", data)
    };
    let content = json!([{ "type": "output_text", "text": words.concat(), "annotations": [] }]);
    let item = json!({ "type": "message", "id": "msg_1", "role": "assistant", "content": content });
    let usage = json!({ "input_tokens": 40, "output_tokens": 60, "total_tokens": 100 });
    let response =
        |status: &str| json!({ "object": "response", "id": "resp_1", "status": status, "model": "gpt-6-sol" });
    let mut whole = response("completed");
    whole["usage"] = usage;
    whole["output"] = json!([item]);
    let mut events = vec![event("response.created", json!({ "response": response("in_progress") }))];
    events.extend(words.iter().map(delta));
    events.push(event("response.output_item.done", json!({ "output_index": 0, "item": item })));
    events.push(event("response.completed", json!({ "response": whole })));
    events
}

fn chat_events() -> Vec<String> {
    let chunk = |choices: serde_json::Value, usage: serde_json::Value| {
        let data =
            json!({ "id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": choices, "usage": usage });
        format!("data: {data}\n\n")
    };
    let delta = |delta: serde_json::Value, reason: serde_json::Value| {
        chunk(json!([{ "index": 0, "delta": delta, "finish_reason": reason }]), serde_json::Value::Null)
    };
    let mut events: Vec<String> = (0..PIECES)
        .map(|number| delta(json!({ "content": format!("word{number} ") }), serde_json::Value::Null))
        .collect();
    events.push(delta(json!({}), "stop".into()));
    events.push(chunk(json!([]), json!({ "prompt_tokens": 40, "completion_tokens": 60, "total_tokens": 100 })));
    events.push("data: [DONE]\n\n".to_owned());
    events
}
