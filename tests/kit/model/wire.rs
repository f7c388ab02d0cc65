//! Replies in the shapes of OpenAI's chat completions: one JSON object, or a stream of server-sent events.

use serde_json::{Value, json};

use super::reply::{Content, Reply};

/// The answer to a request without `stream`.
pub(super) fn completion(reply: &Reply, model: &Value, number: usize) -> Value {
    let (message, stop) = match &reply.content {
        Content::Tools(calls) => (
            json!({"role": "assistant", "content": words(reply), "tool_calls": tool_calls(calls, number, false)}),
            "tool_calls",
        ),
        Content::Text(text) | Content::Cut(text) => (json!({"role": "assistant", "content": text}), "stop"),
        Content::Status(_, message) | Content::ErrorInStream(message) => return error(message),
    };
    json!({
        "id": format!("chatcmpl-{number}"), "object": "chat.completion", "created": 0, "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": stop}],
        "usage": usage(reply),
    })
}

/// The events of a streamed answer, and whether the stream ends as it should (or is cut).
pub(super) fn events(reply: &Reply, model: &Value, number: usize) -> (Vec<String>, bool) {
    let mut events = vec![chunk(model, number, json!({"role": "assistant", "content": ""}), None)];
    let said = |piece: &str| chunk(model, number, json!({"content": piece}), None);
    let stop = match &reply.content {
        Content::Text(text) => {
            events.extend(pieces(text).map(said));
            "stop"
        }
        Content::Tools(calls) => {
            events.extend(pieces(&reply.words).map(said));
            let delta = json!({"tool_calls": tool_calls(calls, number, true)});
            events.push(chunk(model, number, delta, None));
            "tool_calls"
        }
        Content::Cut(text) => {
            events.push(chunk(model, number, json!({"content": text}), None));
            return (events, false);
        }
        Content::Status(_, message) | Content::ErrorInStream(message) => {
            events.push(event(&error(message)));
            return (events, true);
        }
    };
    events.push(chunk(model, number, json!({}), Some(stop)));
    events.push(event(&json!({
        "id": format!("chatcmpl-{number}"), "object": "chat.completion.chunk", "created": 0, "model": model,
        "choices": [], "usage": usage(reply),
    })));
    events.push("data: [DONE]\n\n".to_owned());
    (events, true)
}

/// An error in OpenAI's shape.
pub(super) fn error(message: &str) -> Value {
    json!({"error": {"message": message, "type": "server_error", "param": null, "code": null}})
}

fn chunk(model: &Value, number: usize, delta: Value, stop: Option<&str>) -> String {
    event(&json!({
        "id": format!("chatcmpl-{number}"), "object": "chat.completion.chunk", "created": 0, "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": stop}],
    }))
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

/// Tool calls carry their arguments as a text of JSON; in a stream each also has its index.
fn tool_calls(calls: &[(String, Value)], number: usize, streamed: bool) -> Vec<Value> {
    let mut wired = Vec::new();
    for (index, (name, arguments)) in calls.iter().enumerate() {
        let mut call = json!({
            "id": format!("call_{number}_{index}"), "type": "function",
            "function": {"name": name, "arguments": arguments.to_string()},
        });
        if streamed {
            call["index"] = json!(index);
        }
        wired.push(call);
    }
    wired
}

fn usage(reply: &Reply) -> Value {
    let (input, output) = reply.tokens;
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}

/// What is said beside tool calls.
fn words(reply: &Reply) -> Option<&str> {
    Some(reply.words.as_str()).filter(|words| !words.is_empty())
}

/// A text word by word, so that a stream has more than one piece.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(' ')
}
