//! A tool server for tests: speaks the Model Context Protocol on its standard input and output, and writes one line to a
//! file for each call that it carries out, before it answers: the tool, its arguments, and after a tab the idempotency key
//! that came with the call. The file is its first argument: `kit-mcp COUNT_FILE`.
//!
//! `book {what, until?}` has an effect that is there once for each idempotency key, however many nodes call and however
//! often: a file named after the key in `COUNT_FILE.effects`. A call with a known key is counted, answered as the first
//! was, and does nothing. It answers when the file `until` exists, if it is given one.
//!
//! Other tools: `lookup_ticket {id}`, `charge {amount}`, `slow {until}` (answers when the file `until` exists), `broken`
//! (answers with an error), `crash` (ends the process in the middle of the call).
//!
//! It repeats the value of its variable `GIVEN`, if it has one, on its standard error, as talkative programs do.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead, Write, stderr, stdin, stdout},
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
    #[expect(clippy::disallowed_methods, reason = "what its client gives it on the way is the point")]
    let given = std::env::var("GIVEN");
    if let Ok(given) = given {
        writeln!(stderr(), "I was given {given}").ok();
    }
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
            return call(params, count_file).map(Ok);
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
        tool(
            "book",
            "Books something, once for each idempotency key",
            json!({"what": {"type": "string"}, "until": {"type": "string"}})
        ),
        tool("charge", "Charges an amount", json!({"amount": {"type": "number"}})),
        tool("slow", "Answers when a file exists", json!({"until": {"type": "string"}})),
        tool("broken", "Always fails", json!({})),
        tool("crash", "Ends the server", json!({})),
    ])
}

fn call(params: &Value, count_file: &str) -> Option<Value> {
    let (name, arguments) = (params["name"].as_str().unwrap_or_default(), &params["arguments"]);
    let (text, is_error) = match name {
        "lookup_ticket" => (format!("ticket {} is open", arguments["id"].as_str().unwrap_or("?")), false),
        "book" => match params["_meta"]["greenroom/idempotency-key"].as_str() {
            Some(key) => {
                let booked = book(key, arguments, count_file);
                wait_for(arguments)?;
                (booked, false)
            }
            None => ("a booking needs an idempotency key".to_owned(), true),
        },
        "charge" => (format!("charged {}", arguments["amount"]), false),
        "slow" => {
            wait_for(arguments)?;
            ("at last".to_owned(), false)
        }
        "broken" => ("this tool always fails".to_owned(), true),
        "crash" => return None,
        other => (format!("there is no tool {other}"), true),
    };
    Some(json!({"content": [{"type": "text", "text": text}], "isError": is_error}))
}

/// Waits for the file that `until` names, if one does. Nothing is left to wait for when the caller is gone.
fn wait_for(arguments: &Value) -> Option<()> {
    let caller = parent_id();
    while arguments["until"].as_str().is_some_and(|until| !Path::new(until).exists()) {
        // A killed caller leaves this process to another parent: it must not outlive the test.
        if parent_id() != caller {
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
    Some(())
}

/// Makes the effect unless the key has it already.
fn book(key: &str, arguments: &Value, count_file: &str) -> String {
    let ledger = Path::new(count_file).with_extension("effects");
    fs::create_dir_all(&ledger).ok();
    // A key may hold what no file's name may.
    let name: String = key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    if let Ok(mut file) = OpenOptions::new().create_new(true).write(true).open(ledger.join(name)) {
        file.write_all(arguments.to_string().as_bytes()).ok();
    }
    format!("booked {}", arguments["what"].as_str().unwrap_or("?"))
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
