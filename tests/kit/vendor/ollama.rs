//! Ollama's own API.
//!
//! From its repository (docs/api.md, api/types.go): a JSON object a line, tools' arguments as objects, `done_reason: stop`
//! for tool calls too, errors as `{"error": "words"}` without a code, also in the middle of a stream.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    Block, Dialect, Ending, Frame, Heard, Refusal, Refused, Said, Tokens,
    dialect::{WORDS, list, word},
};
use crate::model::Asked;

/// The dialect.
#[derive(Debug, Clone, Copy)]
pub struct Ollama;

impl Dialect for Ollama {
    fn name(&self) -> &'static str {
        "ollama"
    }

    fn asks(&self, asked: &Asked) -> bool {
        asked.path == "/api/chat"
    }

    fn content_type(&self) -> &'static str {
        "application/x-ndjson"
    }

    fn frames(&self, said: &Said, asked: &Asked, strange: bool) -> Vec<Frame> {
        let model = &asked.body["model"];
        let says = |message: Value| {
            let mut line = json!({ "model": model, "created_at": "2026-11-26T12:00:00Z", "done": false });
            line["message"] = message;
            line["message"]["role"] = "assistant".into();
            if strange {
                line["mood"] = json!({ "is": "good" });
            }
            self::line(&line)
        };
        let mut frames = Vec::new();
        for block in &said.blocks {
            match block {
                Block::Thinking { text, .. } => {
                    frames.push(Frame::other(says(json!({ "content": "", "thinking": text }))));
                }
                Block::Text(pieces) => {
                    frames.extend(pieces.iter().map(|piece| Frame::text(says(json!({ "content": piece })))));
                }
                Block::Tool { id, name, arguments } => {
                    // An engine that was cut hands on what it could read.
                    let arguments: Value = serde_json::from_str(&arguments.concat()).unwrap_or_else(|_| json!({}));
                    let call = json!({ "id": id, "function": { "name": name, "arguments": arguments } });
                    frames.push(Frame::other(says(json!({ "content": "", "tool_calls": [call] }))));
                }
            }
        }
        let reason = match said.ending {
            Ending::End | Ending::Tools | Ending::Declined => "stop",
            Ending::Length => "length",
            Ending::Unheard => "moved_by_the_moment",
        };
        let told = self.tells(said.tokens);
        frames.push(Frame::other(self::line(&json!({
            "model": model, "created_at": "2026-11-26T12:00:01Z", "message": { "role": "assistant", "content": "" },
            "done": true, "done_reason": reason, "total_duration": 5_000_000, "load_duration": 1_000_000,
            "prompt_eval_count": told.input, "prompt_eval_duration": 1_000_000, "eval_count": told.output,
            "eval_duration": 3_000_000,
        }))));
        frames
    }

    fn refusal(&self, refusal: Refusal) -> Option<Refused> {
        let (status, words) = match refusal {
            Refusal::RateLimited => (429, WORDS.to_owned()),
            Refusal::BadKey => (401, "unauthorized".to_owned()),
            Refusal::Forbidden => (403, "forbidden".to_owned()),
            Refusal::BadRequest => (400, WORDS.to_owned()),
            Refusal::NotFound => (404, "model 'x' not found".to_owned()),
            Refusal::TooLong => (400, format!("the input length exceeds the context length. {WORDS}")),
            Refusal::Overloaded => {
                (503, "server busy, please try again.  maximum pending requests exceeded".to_owned())
            }
            Refusal::Broken => (500, WORDS.to_owned()),
            Refusal::Spent => return None,
        };
        Some(Refused::new(status, json!({ "error": words })))
    }

    fn error_frame(&self, refusal: Refusal) -> Option<Bytes> {
        // It does not say of which kind.
        (refusal == Refusal::Broken).then(|| line(&json!({ "error": WORDS })))
    }

    fn garbage(&self) -> Bytes {
        Bytes::from_static(b"{\"model\": \"lla\n")
    }

    fn aside(&self, asked: &Asked, _: u64) -> Option<(u16, Value)> {
        match asked.path.as_str() {
            "/api/version" => Some((200, json!({ "version": "0.35.1" }))),
            "/api/tags" => Some((200, json!({ "models": [{ "name": "llama5:latest", "model": "llama5:latest" }] }))),
            _ => None,
        }
    }

    fn tells(&self, tokens: Tokens) -> Tokens {
        let input = tokens.input + tokens.cache_read + tokens.cache_write + tokens.cache_write_1h;
        Tokens { input, output: tokens.output, ..Tokens::default() }
    }

    fn declines(&self) -> bool {
        false
    }

    /// Thoughts are plain text and may come back, but nothing proves whose they are.
    fn replays(&self) -> bool {
        false
    }

    fn heard(&self, asked: &Asked) -> Heard {
        let body = &asked.body;
        let messages = list(&body["messages"]);
        let of = |role: &'static str| messages.iter().filter(move |message| message["role"] == role);
        let last = of("assistant").next_back().cloned().unwrap_or_default();
        let text = Some(word(&last["content"])).filter(|text| !text.is_empty()).map(|text| Block::Text(vec![text]));
        let calls = list(&last["tool_calls"]).iter().map(|call| Block::Tool {
            id: word(&call["id"]),
            name: word(&call["function"]["name"]),
            arguments: vec![call["function"]["arguments"].to_string()],
        });
        Heard {
            system: of("system").map(|message| word(&message["content"])).collect(),
            question: of("user").next_back().map(|message| word(&message["content"])).unwrap_or_default(),
            tools: list(&body["tools"]).iter().map(|tool| word(&tool["function"]["name"])).collect(),
            replayed: text.into_iter().chain(calls).collect(),
            results: of("tool").map(|tool| (word(&tool["tool_call_id"]), word(&tool["content"]))).collect(),
            limit: body["options"]["num_predict"].as_u64(),
            pictures: of("user").flat_map(|message| list(&message["images"])).count(),
            schema: body.get("format").cloned(),
        }
    }
}

fn line(json: &Value) -> Bytes {
    Bytes::from(format!("{json}\n"))
}
