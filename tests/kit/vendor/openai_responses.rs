//! OpenAI's Responses API.
//!
//! From developers.openai.com/api/reference (responses, streaming) and the types of the official SDK: named events, items
//! that are added and done one by one, the usage in the last event, cached tokens counted into the input, no `[DONE]`.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    Block, Dialect, Ending, Frame, Heard, Refusal, Refused, Said, Tokens,
    dialect::{WORDS, list, text_of, word},
};
use crate::model::Asked;

/// The dialect.
#[derive(Debug, Clone, Copy)]
pub struct OpenAiResponses;

impl Dialect for OpenAiResponses {
    fn name(&self) -> &'static str {
        "responses"
    }

    fn asks(&self, asked: &Asked) -> bool {
        asked.path.ends_with("/responses")
    }

    fn content_type(&self) -> &'static str {
        "text/event-stream; charset=utf-8"
    }

    fn frames(&self, said: &Said, asked: &Asked, strange: bool) -> Vec<Frame> {
        let begun = json!({ "response": response(asked, "in_progress", &[], Value::Null) });
        let mut frames = vec![other("response.created", begun.clone()), other("response.in_progress", begun)];
        if strange {
            frames.push(other("response.mood.changed", json!({ "mood": { "is": "good" } })));
        }
        let mut items = Vec::new();
        for (index, block) in said.blocks.iter().enumerate() {
            let item = item(block, said.ending);
            frames.extend(item_frames(index, block, &item, strange));
            items.push(item);
        }
        if said.ending == Ending::Declined {
            let content = json!([{ "type": "refusal", "refusal": "I had rather not." }]);
            let item = json!({ "type": "message", "id": "msg_no", "role": "assistant", "content": content });
            frames.push(other("response.refusal.delta", json!({ "output_index": 0, "delta": "I had rather not." })));
            frames.push(other("response.output_item.done", json!({ "output_index": 0, "item": item })));
            items.push(item);
        }
        let (event, status, reason) = match said.ending {
            Ending::End | Ending::Tools | Ending::Declined => ("response.completed", "completed", None),
            Ending::Length => ("response.incomplete", "incomplete", Some("max_output_tokens")),
            Ending::Unheard => ("response.incomplete", "incomplete", Some("moved_by_the_moment")),
        };
        let mut whole = response(asked, status, &items, usage(said.tokens));
        whole["incomplete_details"] = reason.map_or(Value::Null, |reason| json!({ "reason": reason }));
        frames.push(other(event, json!({ "response": whole })));
        frames
    }

    fn refusal(&self, refusal: Refusal) -> Option<Refused> {
        let (status, kind, code) = words(refusal);
        let error = json!({ "error": { "message": WORDS, "type": kind, "param": null, "code": code } });
        Some(Refused { headers: vec![("x-request-id", "req_1".to_owned())], ..Refused::new(status, error) })
    }

    /// Both of its forms: an event of its own, and an answer that failed.
    fn error_frame(&self, refusal: Refusal) -> Option<Bytes> {
        let (_, kind, code) = words(refusal);
        let code = code.unwrap_or(kind);
        Some(match refusal {
            Refusal::Overloaded => event("error", json!({ "code": code, "message": WORDS, "param": null })),
            _ => {
                let error = json!({ "code": code, "message": WORDS });
                event("response.failed", json!({ "response": { "status": "failed", "error": error, "output": [] } }))
            }
        })
    }

    fn garbage(&self) -> Bytes {
        Bytes::from_static(b"event: response.created\ndata: {\"type\": \"resp\n\n")
    }

    fn aside(&self, asked: &Asked, tokens: u64) -> Option<(u16, Value)> {
        let counts = asked.path.ends_with("/responses/input_tokens");
        counts.then(|| (200, json!({ "object": "response.input_tokens", "input_tokens": tokens })))
    }

    fn tells(&self, tokens: Tokens) -> Tokens {
        Tokens { cache_write: tokens.cache_write + tokens.cache_write_1h, cache_write_1h: 0, ..tokens }
    }

    fn replays(&self) -> bool {
        true
    }

    fn heard(&self, asked: &Asked) -> Heard {
        let body = &asked.body;
        let input = list(&body["input"]);
        let is_users = |item: &Value| item["role"] == "user" || item["type"] == "function_call_output";
        // The model's last turn is what stands before what was last said to it.
        let end = input.iter().rposition(|item| !is_users(item)).map_or(0, |last| last + 1);
        let start = input[..end].iter().rposition(is_users).map_or(0, |last| last + 1);
        let users = || input.iter().filter(|item| item["role"] == "user");
        let results = || input.iter().filter(|item| item["type"] == "function_call_output");
        let shown = users().map(|item| &item["content"]).chain(results().map(|item| &item["output"]));
        Heard {
            system: word(&body["instructions"]),
            question: users().next_back().map(|item| text_of(&item["content"])).unwrap_or_default(),
            tools: list(&body["tools"]).iter().map(|tool| word(&tool["name"])).collect(),
            replayed: input[start..end].iter().filter_map(block_of).collect(),
            results: results().map(|item| (word(&item["call_id"]), text_of(&item["output"]))).collect(),
            limit: body["max_output_tokens"].as_u64(),
            pictures: shown.flat_map(list).filter(|part| part["type"] == "input_image").count(),
            schema: body.pointer("/text/format/schema").cloned(),
        }
    }
}

fn item(block: &Block, ending: Ending) -> Value {
    let status = if ending == Ending::Length { "incomplete" } else { "completed" };
    match block {
        Block::Thinking { text, signature } => json!({
            "type": "reasoning", "id": "rs_1", "summary": [{ "type": "summary_text", "text": text }],
            "encrypted_content": signature,
        }),
        Block::Text(pieces) => {
            let content =
                json!([{ "type": "output_text", "text": pieces.concat(), "annotations": [], "logprobs": [] }]);
            let message = json!({ "type": "message", "id": "msg_1", "role": "assistant", "phase": "final_answer" });
            with(message, &[("status", status.into()), ("content", content)])
        }
        Block::Tool { id, name, arguments } => json!({
            "type": "function_call", "id": "fc_1", "call_id": id, "name": name, "arguments": arguments.concat(),
            "status": status,
        }),
    }
}

fn item_frames(index: usize, block: &Block, item: &Value, strange: bool) -> Vec<Frame> {
    let at = |data: Value| with(data, &[("output_index", index.into())]);
    let mut begun = item.clone();
    begun["status"] = "in_progress".into();
    // What is being added is not whole yet.
    for name in ["content", "arguments", "encrypted_content"] {
        if let Some(field) = begun.get_mut(name) {
            *field = if field.is_array() { json!([]) } else { "".into() };
        }
    }
    if strange {
        begun["mood"] = "good".into();
    }
    let mut frames = vec![other("response.output_item.added", at(json!({ "item": begun })))];
    match block {
        Block::Thinking { text, .. } => {
            let delta = json!({ "summary_index": 0, "delta": text });
            frames.push(other("response.reasoning_summary_text.delta", at(delta)));
        }
        Block::Text(pieces) => {
            let part = json!({ "content_index": 0, "part": { "type": "output_text", "text": "" } });
            frames.push(other("response.content_part.added", at(part)));
            let delta = |piece| event("response.output_text.delta", at(json!({ "content_index": 0, "delta": piece })));
            frames.extend(pieces.iter().map(|piece| Frame::text(delta(piece))));
            let done = json!({ "content_index": 0, "text": pieces.concat() });
            frames.push(other("response.output_text.done", at(done)));
        }
        Block::Tool { arguments, .. } => {
            let delta = |piece| other("response.function_call_arguments.delta", at(json!({ "delta": piece })));
            frames.extend(arguments.iter().map(delta));
            let done = json!({ "arguments": arguments.concat() });
            frames.push(other("response.function_call_arguments.done", at(done)));
        }
    }
    frames.push(other("response.output_item.done", at(json!({ "item": item }))));
    frames
}

fn block_of(item: &Value) -> Option<Block> {
    Some(match item["type"].as_str()? {
        "message" => Block::Text(vec![text_of(&item["content"])]),
        "reasoning" => Block::Thinking { text: text_of(&item["summary"]), signature: word(&item["encrypted_content"]) },
        "function_call" => Block::Tool {
            id: word(&item["call_id"]),
            name: word(&item["name"]),
            arguments: vec![word(&item["arguments"])],
        },
        _ => return None,
    })
}

fn response(asked: &Asked, status: &str, items: &[Value], usage: Value) -> Value {
    json!({
        "id": "resp_1", "object": "response", "created_at": 0, "status": status, "error": null,
        "model": asked.body["model"], "output": items, "usage": usage, "store": asked.body["store"],
    })
}

fn with(mut value: Value, fields: &[(&str, Value)]) -> Value {
    for (name, field) in fields {
        value[*name] = field.clone();
    }
    value
}

fn event(name: &str, mut data: Value) -> Bytes {
    data["type"] = name.into();
    data["sequence_number"] = 1.into();
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

fn other(name: &str, data: Value) -> Frame {
    Frame::other(event(name, data))
}

fn usage(tokens: Tokens) -> Value {
    let written = tokens.cache_write + tokens.cache_write_1h;
    let input = tokens.input + tokens.cache_read + written;
    json!({
        "input_tokens": input, "output_tokens": tokens.output, "total_tokens": input + tokens.output,
        "input_tokens_details": { "cached_tokens": tokens.cache_read, "cache_write_tokens": written },
        "output_tokens_details": { "reasoning_tokens": tokens.reasoning },
    })
}

/// The status, the type and the code.
fn words(refusal: Refusal) -> (u16, &'static str, Option<&'static str>) {
    match refusal {
        Refusal::RateLimited => (429, "tokens", Some("rate_limit_exceeded")),
        Refusal::Spent => (429, "insufficient_quota", Some("project_spend_limit_exceeded")),
        Refusal::BadKey => (401, "invalid_request_error", Some("invalid_api_key")),
        Refusal::Forbidden => (403, "invalid_request_error", None),
        Refusal::BadRequest => (400, "invalid_request_error", Some("unsupported_parameter")),
        Refusal::NotFound => (404, "invalid_request_error", Some("model_not_found")),
        Refusal::TooLong => (400, "invalid_request_error", Some("context_length_exceeded")),
        Refusal::Overloaded => (503, "service_unavailable_error", Some("server_is_overloaded")),
        Refusal::Broken => (500, "server_error", None),
    }
}
