//! OpenAI's chat completions, as most servers speak them.
//!
//! From developers.openai.com/api/reference (chat, streaming): unnamed events, the usage in a last chunk without choices,
//! cached tokens counted into the prompt, `[DONE]` at the end.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    Block, Dialect, Ending, Frame, Heard, Refusal, Refused, Said, Tokens,
    dialect::{WORDS, list, text_of, word},
};
use crate::model::Asked;

/// The dialect.
#[derive(Debug, Clone, Copy)]
pub struct OpenAiChat;

impl Dialect for OpenAiChat {
    fn name(&self) -> &'static str {
        "chat completions"
    }

    fn asks(&self, asked: &Asked) -> bool {
        asked.path.ends_with("/chat/completions")
    }

    fn content_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn frames(&self, said: &Said, asked: &Asked, strange: bool) -> Vec<Frame> {
        let model = &asked.body["model"];
        let chunk = |delta: Value, reason: Value| {
            event(&json!({
                "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": model,
                "choices": [{ "index": 0, "delta": delta, "finish_reason": reason, "logprobs": null }],
            }))
        };
        let mut frames = vec![Frame::other(chunk(json!({ "role": "assistant", "content": "" }), Value::Null))];
        if strange {
            frames.push(Frame::other(": a comment\n\n"));
            frames.push(Frame::other(event(&json!({ "object": "chat.completion.mood", "mood": { "is": "good" } }))));
        }
        let mut calls = 0;
        for block in &said.blocks {
            match block {
                // It is not told.
                Block::Thinking { .. } => {}
                Block::Text(pieces) => frames
                    .extend(pieces.iter().map(|piece| Frame::text(chunk(json!({ "content": piece }), Value::Null)))),
                Block::Tool { id, name, arguments } => {
                    let call = |call: Value| Frame::other(chunk(json!({ "tool_calls": [call] }), Value::Null));
                    let function = json!({ "name": name, "arguments": "" });
                    frames.push(call(json!({ "index": calls, "id": id, "type": "function", "function": function })));
                    let piece = |piece| call(json!({ "index": calls, "function": { "arguments": piece } }));
                    frames.extend(arguments.iter().map(piece));
                    calls += 1;
                }
            }
        }
        frames.push(Frame::end(chunk(json!({}), reason(said.ending).into())));
        frames.push(Frame::other(event(&json!({ "model": model, "choices": [], "usage": usage(said.tokens) }))));
        frames.push(Frame::other("data: [DONE]\n\n"));
        frames
    }

    fn refusal(&self, refusal: Refusal) -> Option<Refused> {
        let (status, _, _) = words(refusal);
        Some(Refused::new(status, error(refusal)))
    }

    fn error_frame(&self, refusal: Refusal) -> Option<Bytes> {
        Some(event(&error(refusal)))
    }

    fn garbage(&self) -> Bytes {
        Bytes::from_static(b"data: {\"choices\": [{\"delta\n\n")
    }

    fn aside(&self, asked: &Asked, _: u64) -> Option<(u16, Value)> {
        asked.path.ends_with("/models").then(|| (200, json!({ "object": "list", "data": [{ "id": "a-model" }] })))
    }

    fn tells(&self, tokens: Tokens) -> Tokens {
        Tokens { cache_write: tokens.cache_write + tokens.cache_write_1h, cache_write_1h: 0, ..tokens }
    }

    fn replays(&self) -> bool {
        false
    }

    fn heard(&self, asked: &Asked) -> Heard {
        let body = &asked.body;
        let messages = list(&body["messages"]);
        let of = |role: &'static str| messages.iter().filter(move |message| message["role"] == role);
        let last = of("assistant").next_back().cloned().unwrap_or_default();
        let said = text_of(&last["content"]);
        let text = (!said.is_empty()).then(|| Block::Text(vec![said]));
        let calls = list(&last["tool_calls"]).iter().map(|call| Block::Tool {
            id: word(&call["id"]),
            name: word(&call["function"]["name"]),
            arguments: vec![word(&call["function"]["arguments"])],
        });
        let pictures =
            of("user").flat_map(|message| list(&message["content"])).filter(|part| part["type"] == "image_url");
        Heard {
            system: of("system").map(|message| text_of(&message["content"])).collect(),
            question: of("user").next_back().map(|message| text_of(&message["content"])).unwrap_or_default(),
            tools: list(&body["tools"]).iter().map(|tool| word(&tool["function"]["name"])).collect(),
            replayed: text.into_iter().chain(calls).collect(),
            results: of("tool").map(|tool| (word(&tool["tool_call_id"]), text_of(&tool["content"]))).collect(),
            limit: body["max_completion_tokens"].as_u64().or_else(|| body["max_tokens"].as_u64()),
            pictures: pictures.count(),
            schema: body.pointer("/response_format/json_schema/schema").cloned(),
        }
    }
}

fn event(data: &Value) -> Bytes {
    Bytes::from(format!("data: {data}\n\n"))
}

fn reason(ending: Ending) -> &'static str {
    match ending {
        Ending::End => "stop",
        Ending::Tools => "tool_calls",
        Ending::Length => "length",
        Ending::Declined => "content_filter",
        Ending::Unheard => "moved_by_the_moment",
    }
}

fn usage(tokens: Tokens) -> Value {
    let written = tokens.cache_write + tokens.cache_write_1h;
    let prompt = tokens.input + tokens.cache_read + written;
    json!({
        "prompt_tokens": prompt, "completion_tokens": tokens.output, "total_tokens": prompt + tokens.output,
        "prompt_tokens_details": { "cached_tokens": tokens.cache_read, "cache_write_tokens": written },
        "completion_tokens_details": { "reasoning_tokens": tokens.reasoning },
    })
}

/// The status, the type and the code.
fn words(refusal: Refusal) -> (u16, &'static str, Option<&'static str>) {
    match refusal {
        Refusal::RateLimited => (429, "requests", Some("rate_limit_exceeded")),
        Refusal::Spent => (429, "insufficient_quota", Some("insufficient_quota")),
        Refusal::BadKey => (401, "invalid_request_error", Some("invalid_api_key")),
        Refusal::Forbidden => (403, "invalid_request_error", None),
        Refusal::BadRequest => (400, "invalid_request_error", Some("unsupported_parameter")),
        Refusal::NotFound => (404, "invalid_request_error", Some("model_not_found")),
        Refusal::TooLong => (400, "invalid_request_error", Some("context_length_exceeded")),
        Refusal::Overloaded => (503, "server_error", Some("server_is_overloaded")),
        Refusal::Broken => (500, "server_error", None),
    }
}

fn error(refusal: Refusal) -> Value {
    let (_, kind, code) = words(refusal);
    json!({ "error": { "message": WORDS, "type": kind, "param": null, "code": code } })
}
