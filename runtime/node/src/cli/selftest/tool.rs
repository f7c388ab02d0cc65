//! A tool server, in a process of its own like any: it writes down each call with its key, then works, then answers. It
//! speaks the Model Context Protocol on its standard input and output.

use std::{
    fs::OpenOptions,
    io::{BufRead, Write, stdin, stdout},
    path::Path,
    time::Duration,
};

use serde_json::{Value, json};

use crate::cli::exit::Exit;

/// So long a call takes: long enough to be killed in.
const WORK: Duration = Duration::from_millis(20);

/// Serves until its standard input ends, which it does when its node dies.
pub(in crate::cli) fn serve(ledger: &Path) -> Result<(), Exit> {
    let mut file = OpenOptions::new().create(true).append(true).open(ledger)?;
    for line in stdin().lock().lines() {
        let Ok(message) = serde_json::from_str::<Value>(&line?) else { continue };
        // A notification has no id and gets no answer.
        let Some(id) = message.get("id").filter(|id| !id.is_null()) else { continue };
        let params = &message["params"];
        let result = match message["method"].as_str().unwrap_or_default() {
            "initialize" => json!({
                "protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                "serverInfo": {"name": "greenroom-selftest", "version": env!("CARGO_PKG_VERSION")},
            }),
            "tools/list" => json!({"tools": [{
                "name": "work", "description": "Does a piece of work", "inputSchema": {"type": "object"},
            }]}),
            "tools/call" => {
                let key = params["_meta"]["greenroom/idempotency-key"].as_str().unwrap_or_default();
                // One write, so that lines of several servers do not mix.
                file.write_all(format!("{key}\n").as_bytes())?;
                std::thread::sleep(WORK);
                json!({"content": [{"type": "text", "text": "done"}], "isError": false})
            }
            "ping" => json!({}),
            // A client may look for another lifecycle first, and needs to hear that there is none.
            other => {
                let error = json!({"code": -32601, "message": format!("there is no method {other}")});
                say(&json!({"jsonrpc": "2.0", "id": id, "error": error}))?;
                continue;
            }
        };
        say(&json!({"jsonrpc": "2.0", "id": id, "result": result}))?;
    }
    Ok(())
}

fn say(message: &Value) -> std::io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{message}")?;
    out.flush()
}
