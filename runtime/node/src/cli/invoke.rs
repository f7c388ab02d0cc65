//! `greenroom invoke`.

use std::{io::Read, time::Duration};

use greenroom_config::HumanDuration;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    args::Invoke,
    client::{Client, encoded},
    exit::Exit,
    output,
};

/// What the HTTP call gets beyond the wait itself.
const MARGIN: Duration = Duration::from_secs(10);

pub(super) fn invoke(client: &Client, invoke: Invoke, as_json: bool) -> Result<(), Exit> {
    let wait: HumanDuration = invoke.wait.parse().map_err(|error| Exit::usage(format!("--wait {error}")))?;
    let mut body = json!({ "input": input(&invoke.input)? });
    for (key, value) in [("priority", &invoke.priority), ("conversation", &invoke.conversation)] {
        if let Some(value) = value {
            body[key] = json!(value);
        }
    }
    let mut path = format!("/v1/agents/{}/invoke", encoded(&invoke.agent));
    if !invoke.detach {
        path.push_str(&format!("?wait={wait}"));
    }
    let headers: Vec<(&str, &str)> =
        invoke.idempotency_key.iter().map(|key| ("Idempotency-Key", key.as_str())).collect();
    let within = if invoke.detach { MARGIN } else { wait.0 + MARGIN };
    let (status, answer) = client.call(Method::POST, &path, Some(&body), &headers, within)?;
    show(&answer, as_json);
    if status == StatusCode::ACCEPTED && !invoke.detach {
        let id = answer["execution_id"].as_str().unwrap_or_default();
        if answer["status"] == "waiting" {
            super::answer::of(client, id)?;
            return Err(Exit::too_late("the agent waits for an answer"));
        }
        return Err(Exit::too_late(format!("no answer within {wait}; it goes on: greenroom executions {id}")));
    }
    match answer["status"].as_str() {
        Some("failed" | "dead" | "timed_out" | "cancelled") => Err(Exit::execution_failed(reason(&answer))),
        _ => Ok(()),
    }
}

/// A JSON object is taken as one; anything else is a text.
fn input(text: &str) -> Result<Value, Exit> {
    let text = match text {
        "-" => {
            let mut all = String::new();
            std::io::stdin().read_to_string(&mut all)?;
            all
        }
        text => text.to_owned(),
    };
    match serde_json::from_str(&text) {
        Ok(object @ Value::Object(_)) => Ok(object),
        _ => Ok(Value::String(text)),
    }
}

fn show(answer: &Value, as_json: bool) {
    if as_json {
        return output::json(answer);
    }
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    output::note(format_args!("execution {}   trace {}", word(&answer["execution_id"]), word(&answer["trace_id"])));
    for step in answer["steps"].as_array().into_iter().flatten() {
        let glyph = if step["status"] == "settled" { "✓" } else { "✗" };
        let millis = step["duration_ms"].as_u64().unwrap_or_default();
        output::note(format_args!("  {glyph} {} {}   {millis} ms", word(&step["kind"]), word(&step["name"])));
    }
    match &answer["output"] {
        Value::Null => {}
        Value::String(text) => output::answer(text),
        other => output::json(other),
    }
    if answer["status"] == "succeeded" {
        let cost = answer["cost_usd"].as_f64().map_or("unknown".to_owned(), |usd| format!("${usd:.6}"));
        output::note(format_args!(
            "✓ succeeded, cost {cost}.  Next: greenroom logs --trace {}",
            word(&answer["trace_id"])
        ));
    }
}

fn reason(answer: &Value) -> String {
    let status = answer["status"].as_str().unwrap_or("failed");
    match answer["error"]["message"].as_str() {
        Some(message) => format!("the execution is {status}: {message}"),
        None => format!("the execution is {status}"),
    }
}
