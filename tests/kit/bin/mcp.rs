//! A tool server for tests: speaks the Model Context Protocol on its standard input and output, and writes one line to a
//! file for each call that it carries out, before it answers: the tool, its arguments, and after a tab the idempotency key
//! that came with the call. The file is its first argument: `kit-mcp COUNT_FILE`.
//!
//! Tools: `lookup_ticket {id}`, `charge {amount}`, `slow {until}` (answers when the file `until` exists), `broken`
//! (answers with an error), `crash` (ends the process in the middle of the call).

use std::{
    fs::OpenOptions,
    io::{BufRead, Write, stdin, stdout},
    os::unix::process::parent_id,
    path::Path,
    process::ExitCode,
    thread,
    time::Duration,
};

use serde_json::{Value, json};

fn main() -> ExitCode {
    let Some(count_file) = std::env::args().nth(1) else {
        return ExitCode::from(2);
    };
    for line in stdin().lock().lines() {
        let Ok(line) = line else { break };
        let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
        // A notification has no id and gets no answer.
        let Some(id) = message.get("id").filter(|id| !id.is_null()) else { continue };
        let Some(answer) = answer(&message, &count_file) else { return ExitCode::FAILURE };
        let mut reply = json!({"jsonrpc": "2.0", "id": id});
        match answer {
            Ok(result) => reply["result"] = result,
            Err((code, message)) => reply["error"] = json!({"code": code, "message": message}),
        }
        let mut out = stdout().lock();
        if writeln!(out, "{reply}").and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

/// A result, a JSON-RPC error, or nothing: the server is to crash.
fn answer(message: &Value, count_file: &str) -> Option<Result<Value, (i32, String)>> {
    let params = &message["params"];
    Some(match message["method"].as_str().unwrap_or_default() {
        "initialize" => Ok(json!({
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "kit-mcp", "version": "1.0.0"},
        })),
        "ping" => Ok(json!({})),
        "tools/list" => Ok(json!({"tools": tools()})),
        "tools/call" => {
            count(count_file, params);
            return call(params["name"].as_str().unwrap_or_default(), &params["arguments"]).map(Ok);
        }
        other => Err((-32601, format!("there is no method {other}"))),
    })
}

fn tools() -> Value {
    let tool = |name: &str, description: &str, properties: Value| {
        json!({
            "name": name, "description": description,
            "inputSchema": {"type": "object", "properties": properties},
        })
    };
    json!([
        tool("lookup_ticket", "Finds a ticket by its number", json!({"id": {"type": "string"}})),
        tool("charge", "Charges an amount", json!({"amount": {"type": "number"}})),
        tool("slow", "Answers when a file exists", json!({"until": {"type": "string"}})),
        tool("broken", "Always fails", json!({})),
        tool("crash", "Ends the server", json!({})),
    ])
}

fn call(name: &str, arguments: &Value) -> Option<Value> {
    let (text, is_error) = match name {
        "lookup_ticket" => (format!("ticket {} is open", arguments["id"].as_str().unwrap_or("?")), false),
        "charge" => (format!("charged {}", arguments["amount"]), false),
        "slow" => {
            let (until, caller) = (arguments["until"].as_str().unwrap_or_default(), parent_id());
            while !Path::new(until).exists() {
                // A killed caller leaves this process to another parent: it must not outlive the test.
                if parent_id() != caller {
                    return None;
                }
                thread::sleep(Duration::from_millis(5));
            }
            ("at last".to_owned(), false)
        }
        "broken" => ("this tool always fails".to_owned(), true),
        "crash" => return None,
        other => (format!("there is no tool {other}"), true),
    };
    Some(json!({"content": [{"type": "text", "text": text}], "isError": is_error}))
}

/// One line for each call, written before the answer, so that a call whose answer was lost is counted too.
fn count(count_file: &str, params: &Value) {
    let (name, arguments) = (params["name"].as_str().unwrap_or_default(), &params["arguments"]);
    let key = params["_meta"]["greenroom/idempotency-key"].as_str().unwrap_or_default();
    if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(count_file) {
        // One write, so that the lines of several servers do not mix.
        file.write_all(format!("{name} {arguments}\t{key}\n").as_bytes()).ok();
    }
}
