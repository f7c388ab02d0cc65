//! A tiny MCP server on standard input and output, for tests. It knows only the JSON-RPC that it needs.
//!
//! Tools: `echo {text}`, `add {a, b}`, `slow {ms}`, `crash`, `count {line?, delay_ms?}` (appends a line to the file
//! that the variable `COUNT_FILE` names, then waits), `grow` (a tool `grown` appears), `getenv {name}`, `pid`, `meta`.
//! Arguments: `--stateless` speaks 2026-07-28 instead of 2025-11-25, `--fail` exits at once with status 3, `--mute`
//! never answers, `--linger` outlives the end of its input.

use std::{
    fs::OpenOptions,
    io::{BufRead, Write, stderr, stdin, stdout},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

static GROWN: AtomicBool = AtomicBool::new(false);

fn main() {
    let has = |argument: &str| std::env::args().any(|given| given == argument);
    writeln!(stderr(), "mcp_stub is here").ok();
    if has("--fail") {
        exit(3);
    }
    let (mute, stateless) = (has("--mute"), has("--stateless"));
    for line in stdin().lock().lines() {
        let Ok(line) = line else { break };
        let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
        // A notification has no id and gets no answer.
        if message.get("id").is_none() || mute {
            continue;
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
        other => return Err((-32602, format!("there is no tool {other}"))),
    };
    Ok(json!({ "resultType": "complete", "content": [{ "type": "text", "text": said }] }))
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
