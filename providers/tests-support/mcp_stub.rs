//! A tiny MCP server on standard input and output, for tests. It knows only the JSON-RPC that it needs.
//!
//! Tools: `echo {text}`, `add {a, b}`, `slow {ms}`, `crash`, `count {line?, delay_ms?}` (appends a line to the file
//! that the variable `COUNT_FILE` names, then waits), `grow` (a tool `grown` appears), `getenv {name}`, `pid`, `meta`,
//! `work {steps, ms}` (tells of its progress after each step), `cancelled` (how many calls were called off), `big {bytes}`,
//! `picture`, `structured`, `spawn` (starts a program that does nothing, tells its pid).
//! Arguments: `--stateless` speaks 2026-07-28 instead of 2025-11-25, `--fail` exits at once with status 3, `--mute`
//! never answers, `--deaf` says nothing to what it does not know, `--late` is slow to say that it is stateless, `--linger`
//! outlives the end of its input, `--tell NAME` complains of a variable's value and exits.

use std::{
    fs::OpenOptions,
    io::{BufRead, Write, stderr, stdin, stdout},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

static GROWN: AtomicBool = AtomicBool::new(false);
static CANCELLED: AtomicU32 = AtomicU32::new(0);

fn main() {
    let has = |argument: &str| std::env::args().any(|given| given == argument);
    writeln!(stderr(), "mcp_stub is here").ok();
    if has("--fail") {
        exit(3);
    }
    if let Some(name) = std::env::args().skip_while(|given| given != "--tell").nth(1) {
        writeln!(stderr(), "this is no good: {}", variable(&name).unwrap_or_default()).ok();
        exit(4);
    }
    let (mute, deaf, late) = (has("--mute"), has("--deaf"), has("--late"));
    let stateless = has("--stateless") || late;
    for line in stdin().lock().lines() {
        let Ok(line) = line else { break };
        let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
        if message["method"] == "notifications/cancelled" {
            CANCELLED.fetch_add(1, Ordering::SeqCst);
        }
        // A notification has no id and gets no answer.
        if message.get("id").is_none() || mute || (deaf && message["method"] == "server/discover") {
            continue;
        }
        if late && message["method"] == "server/discover" {
            thread::sleep(Duration::from_millis(2500));
        }
        // Each request in its own thread, so that a slow one holds up nobody.
        thread::spawn(move || answer(&message, stateless));
    }
    if has("--linger") {
        thread::sleep(Duration::from_secs(3600));
    }
    // Answers that are still being made are not waited for: the client is gone.
}

fn answer(message: &Value, stateless: bool) {
    let params = message.get("params").cloned().unwrap_or_default();
    let info = json!({ "name": "mcp_stub", "version": "1" });
    let capabilities = json!({ "tools": { "listChanged": !stateless } });
    let answered = match message["method"].as_str().unwrap_or_default() {
        "initialize" if !stateless => {
            Ok(json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": info }))
        }
        "server/discover" if stateless => Ok(json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": capabilities,
            "serverInfo": info, "ttlMs": 0, "cacheScope": "private"
        })),
        "ping" => Ok(json!({})),
        "tools/list" => Ok(json!({ "resultType": "complete", "tools": tools(), "ttlMs": 0, "cacheScope": "private" })),
        "tools/call" => call(&params),
        other => Err((-32601, format!("there is no method {other}"))),
    };
    match answered {
        Ok(result) => send(&json!({ "jsonrpc": "2.0", "id": message["id"], "result": result })),
        Err((code, text)) => {
            send(&json!({ "jsonrpc": "2.0", "id": message["id"], "error": { "code": code, "message": text } }));
        }
    }
}

fn tools() -> Value {
    let tool = |name: &str, annotations: Value, properties: Value| {
        json!({
            "name": name, "description": format!("The stub's {name}."), "annotations": annotations,
            "inputSchema": { "type": "object", "properties": properties }
        })
    };
    let number = json!({ "type": "number" });
    let text = json!({ "type": "string" });
    let mut tools = vec![
        tool("echo", json!({ "readOnlyHint": true }), json!({ "text": text })),
        tool("add", json!({ "idempotentHint": true }), json!({ "a": number, "b": number })),
        tool("slow", json!({ "readOnlyHint": true }), json!({ "ms": number })),
        tool("crash", json!({}), json!({})),
        tool("count", json!({}), json!({ "line": text, "delay_ms": number })),
        tool("grow", json!({}), json!({})),
        tool("getenv", json!({ "readOnlyHint": true }), json!({ "name": text })),
        tool("pid", json!({ "readOnlyHint": true }), json!({})),
        tool("meta", json!({ "readOnlyHint": true }), json!({})),
        tool("work", json!({}), json!({ "steps": number, "ms": number })),
        tool("cancelled", json!({ "readOnlyHint": true }), json!({})),
        tool("big", json!({ "readOnlyHint": true }), json!({ "bytes": number })),
        tool("picture", json!({ "readOnlyHint": true }), json!({})),
        tool("structured", json!({ "readOnlyHint": true }), json!({})),
        tool("spawn", json!({}), json!({})),
    ];
    if GROWN.load(Ordering::SeqCst) {
        tools.push(tool("grown", json!({}), json!({})));
    }
    tools.into()
}

fn call(params: &Value) -> Result<Value, (i64, String)> {
    let input = params.get("arguments").cloned().unwrap_or_default();
    let said = match params["name"].as_str().unwrap_or_default() {
        "echo" => input["text"].as_str().unwrap_or_default().to_owned(),
        "add" => match (input["a"].as_f64(), input["b"].as_f64()) {
            (Some(a), Some(b)) => (a + b).to_string(),
            _ => {
                return Ok(
                    json!({ "content": [{ "type": "text", "text": "a and b must be numbers" }], "isError": true }),
                );
            }
        },
        "slow" => {
            thread::sleep(Duration::from_millis(input["ms"].as_u64().unwrap_or_default()));
            "done".to_owned()
        }
        "crash" => exit(7),
        "count" => count(&input),
        "grow" => {
            GROWN.store(true, Ordering::SeqCst);
            send(&json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" }));
            "grown".to_owned()
        }
        "getenv" => variable(input["name"].as_str().unwrap_or_default()).unwrap_or_else(|| "(absent)".to_owned()),
        "pid" => std::process::id().to_string(),
        "meta" => params["_meta"].to_string(),
        "work" => work(&input, &params["_meta"]["progressToken"]),
        "cancelled" => CANCELLED.load(Ordering::SeqCst).to_string(),
        "big" => "b".repeat(input["bytes"].as_u64().unwrap_or_default() as usize),
        "picture" => {
            let picture = json!({ "type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png" });
            return Ok(json!({ "resultType": "complete", "content": [picture] }));
        }
        "structured" => {
            return Ok(json!({ "resultType": "complete", "content": [], "structuredContent": { "answer": 42 } }));
        }
        "spawn" => match Command::new("sleep").arg("1000").stdin(Stdio::null()).stdout(Stdio::null()).spawn() {
            Ok(child) => child.id().to_string(),
            Err(error) => format!("cannot start: {error}"),
        },
        other => return Err((-32602, format!("there is no tool {other}"))),
    };
    Ok(json!({ "resultType": "complete", "content": [{ "type": "text", "text": said }] }))
}

/// Works step by step, and tells of each.
fn work(input: &Value, token: &Value) -> String {
    let (steps, ms) = (input["steps"].as_u64().unwrap_or_default(), input["ms"].as_u64().unwrap_or_default());
    for step in 1..=steps {
        thread::sleep(Duration::from_millis(ms));
        let params = json!({ "progressToken": token, "progress": step, "total": steps });
        send(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params }));
    }
    "worked".to_owned()
}

/// Appends a line, so that calls can be counted however often this process is killed, and tells how many there are.
fn count(input: &Value) -> String {
    let Some(path) = variable("COUNT_FILE") else { return "COUNT_FILE is not set".to_owned() };
    let line = input["line"].as_str().unwrap_or("called");
    let written = OpenOptions::new().create(true).append(true).open(&path).and_then(|mut file| {
        // One write, so that lines of several processes never mix.
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_all()
    });
    if let Err(error) = written {
        return format!("cannot count: {error}");
    }
    thread::sleep(Duration::from_millis(input["delay_ms"].as_u64().unwrap_or_default()));
    std::fs::read_to_string(&path).unwrap_or_default().lines().count().to_string()
}

fn send(message: &Value) {
    let mut out = stdout().lock();
    writeln!(out, "{message}").and_then(|()| out.flush()).ok();
}

#[expect(clippy::disallowed_methods, reason = "a program of its own, whose environment is what tests look at")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(clippy::disallowed_methods, reason = "a program of its own, which dies when it is told to")]
fn exit(status: i32) -> ! {
    std::process::exit(status)
}
