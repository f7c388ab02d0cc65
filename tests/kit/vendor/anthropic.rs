//! Anthropic's Messages API.
//!
//! From platform.claude.com/docs (api/messages, api/errors, build-with-claude/streaming): named events, the usage in the
//! first and (cumulative) in the last but one, `input_tokens` without what was cached, errors with a type of their own.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    Block, Dialect, Ending, Frame, Heard, Refusal, Refused, Said, Tokens,
    dialect::{WORDS, list, text_of, word},
};
use crate::model::Asked;

/// The dialect.
#[derive(Debug, Clone, Copy)]
pub struct Anthropic;

impl Dialect for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn asks(&self, asked: &Asked) -> bool {
        asked.path == "/v1/messages"
    }

    fn content_type(&self) -> &'static str {
        "text/event-stream; charset=utf-8"
    }

    fn frames(&self, said: &Said, asked: &Asked, strange: bool) -> Vec<Frame> {
        let mut first = usage(said.tokens);
        first["output_tokens"] = 1.into();
        let message = json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": asked.body["model"], "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": first,
        });
        let mut frames = vec![other("message_start", json!({ "message": message })), other("ping", json!({}))];
        if strange {
            frames.push(other("message_mood", json!({ "mood": { "is": "good" } })));
        }
        for (index, block) in said.blocks.iter().enumerate() {
            frames.extend(block_frames(index, block, strange));
        }
        let end = json!({ "stop_reason": reason(said.ending), "stop_sequence": null });
        frames.push(Frame::end(event("message_delta", json!({ "delta": end, "usage": usage(said.tokens) }))));
        frames.push(other("message_stop", json!({})));
        frames
    }

    fn refusal(&self, refusal: Refusal) -> Option<Refused> {
        let (status, _) = words(refusal);
        Some(Refused { headers: vec![("request-id", "req_1".to_owned())], ..Refused::new(status, error(refusal)) })
    }

    fn error_frame(&self, refusal: Refusal) -> Option<Bytes> {
        Some(event("error", error(refusal)))
    }

    fn garbage(&self) -> Bytes {
        Bytes::from_static(b"event: message_start\ndata: {\"type\": \"mess\n\n")
    }

    fn aside(&self, asked: &Asked, tokens: u64) -> Option<(u16, Value)> {
        (asked.path == "/v1/messages/count_tokens").then(|| (200, json!({ "input_tokens": tokens })))
    }

    fn replays(&self) -> bool {
        true
    }

    fn heard(&self, asked: &Asked) -> Heard {
        let body = &asked.body;
        let parts = |role: &'static str| {
            let turns = list(&body["messages"]).iter().filter(move |message| message["role"] == role);
            turns.map(|turn| match &turn["content"] {
                Value::String(text) => vec![json!({ "type": "text", "text": text })],
                content => list(content).to_vec(),
            })
        };
        let said: Vec<Value> = parts("user").flatten().collect();
        let results = said.iter().filter(|part| part["type"] == "tool_result");
        let inner = results.clone().flat_map(|part| list(&part["content"]));
        Heard {
            system: text_of(&body["system"]),
            question: parts("user").next_back().map(|parts| text_of(&Value::Array(parts))).unwrap_or_default(),
            tools: list(&body["tools"]).iter().map(|tool| word(&tool["name"])).collect(),
            replayed: parts("assistant").next_back().unwrap_or_default().iter().filter_map(block_of).collect(),
            pictures: said.iter().chain(inner).filter(|part| part["type"] == "image").count(),
            results: results.map(|part| (word(&part["tool_use_id"]), text_of(&part["content"]))).collect(),
            limit: body["max_tokens"].as_u64(),
            schema: body.pointer("/output_config/format/schema").cloned(),
        }
    }
}

fn block_frames(index: usize, block: &Block, strange: bool) -> Vec<Frame> {
    let start = |mut block: Value| {
        if strange {
            block["mood"] = "good".into();
        }
        other("content_block_start", json!({ "index": index, "content_block": block }))
    };
    let delta = |delta: Value| event("content_block_delta", json!({ "index": index, "delta": delta }));
    let mut frames = match block {
        Block::Thinking { text, signature } => {
            let (head, tail) = text.split_at(text.len() / 2);
            vec![
                start(json!({ "type": "thinking", "thinking": "", "signature": "" })),
                Frame::other(delta(json!({ "type": "thinking_delta", "thinking": head }))),
                Frame::other(delta(json!({ "type": "thinking_delta", "thinking": tail }))),
                Frame::other(delta(json!({ "type": "signature_delta", "signature": signature }))),
            ]
        }
        Block::Text(pieces) => {
            let piece = |piece| Frame::text(delta(json!({ "type": "text_delta", "text": piece })));
            let text = pieces.iter().map(piece);
            [start(json!({ "type": "text", "text": "" }))].into_iter().chain(text).collect()
        }
        Block::Tool { id, name, arguments } => {
            let piece = |piece| Frame::other(delta(json!({ "type": "input_json_delta", "partial_json": piece })));
            let call = start(json!({ "type": "tool_use", "id": id, "name": name, "input": {} }));
            [call].into_iter().chain(arguments.iter().map(piece)).collect()
        }
    };
    frames.push(other("content_block_stop", json!({ "index": index })));
    frames
}

fn block_of(part: &Value) -> Option<Block> {
    Some(match part["type"].as_str()? {
        "text" => Block::Text(vec![word(&part["text"])]),
        "thinking" => Block::Thinking { text: word(&part["thinking"]), signature: word(&part["signature"]) },
        "tool_use" => {
            Block::Tool { id: word(&part["id"]), name: word(&part["name"]), arguments: vec![part["input"].to_string()] }
        }
        _ => return None,
    })
}

fn event(name: &str, mut data: Value) -> Bytes {
    data["type"] = name.into();
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

fn other(name: &str, data: Value) -> Frame {
    Frame::other(event(name, data))
}

fn reason(ending: Ending) -> &'static str {
    match ending {
        Ending::End => "end_turn",
        Ending::Tools => "tool_use",
        Ending::Length => "max_tokens",
        Ending::Declined => "refusal",
        Ending::Unheard => "moved_by_the_moment",
    }
}

fn usage(tokens: Tokens) -> Value {
    json!({
        "input_tokens": tokens.input, "output_tokens": tokens.output,
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation_input_tokens": tokens.cache_write + tokens.cache_write_1h,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.cache_write, "ephemeral_1h_input_tokens": tokens.cache_write_1h,
        },
        "output_tokens_details": { "thinking_tokens": tokens.reasoning },
        "service_tier": "standard",
    })
}

/// The status and the type.
fn words(refusal: Refusal) -> (u16, &'static str) {
    match refusal {
        Refusal::RateLimited | Refusal::Spent => (429, "rate_limit_error"),
        Refusal::BadKey => (401, "authentication_error"),
        Refusal::Forbidden => (403, "permission_error"),
        Refusal::BadRequest => (400, "invalid_request_error"),
        Refusal::NotFound => (404, "not_found_error"),
        Refusal::TooLong => (413, "request_too_large"),
        Refusal::Overloaded => (529, "overloaded_error"),
        Refusal::Broken => (500, "api_error"),
    }
}

fn error(refusal: Refusal) -> Value {
    let mut error = json!({ "type": words(refusal).1, "message": WORDS });
    if refusal == Refusal::Spent {
        error["details"] = json!({ "error_code": "enforced_spend_limit_reached" });
    }
    json!({ "type": "error", "error": error, "request_id": "req_1" })
}
