//! Amazon Bedrock's ConverseStream.
//!
//! From the service's model (bedrock-runtime 2023-09-30) and its user guide: no beginning is sent for a text, the count
//! comes after the model has stopped, exceptions in a stream are written in lower camel case.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    Block, Dialect, Ending, Frame, Heard, Refusal, Refused, Said, Tokens,
    dialect::{WORDS, list, word},
    frames::{event, exception},
};
use crate::model::Asked;

/// The dialect.
#[derive(Debug, Clone, Copy)]
pub struct Bedrock;

impl Dialect for Bedrock {
    fn name(&self) -> &'static str {
        "bedrock"
    }

    fn asks(&self, asked: &Asked) -> bool {
        asked.path.starts_with("/model/") && asked.path.ends_with("/converse-stream")
    }

    fn content_type(&self) -> &'static str {
        "application/vnd.amazon.eventstream"
    }

    fn frames(&self, said: &Said, _: &Asked, strange: bool) -> Vec<Frame> {
        let mut frames = vec![Frame::other(event("messageStart", &json!({ "role": "assistant", "p": "abcd" })))];
        if strange {
            frames.push(Frame::other(event("messageMood", &json!({ "mood": { "is": "good" } }))));
        }
        for (index, block) in said.blocks.iter().enumerate() {
            frames.extend(block_frames(index, block, strange));
        }
        frames.push(Frame::end(event("messageStop", &json!({ "stopReason": reason(said.ending) }))));
        let metadata = json!({ "usage": usage(said.tokens), "metrics": { "latencyMs": 7 } });
        frames.push(Frame::other(event("metadata", &metadata)));
        frames
    }

    fn refusal(&self, refusal: Refusal) -> Option<Refused> {
        let (status, name) = words(refusal);
        let kind = ("x-amzn-ErrorType", format!("{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"));
        Some(Refused { headers: vec![kind], ..Refused::new(status, json!({ "message": WORDS })) })
    }

    fn error_frame(&self, refusal: Refusal) -> Option<Bytes> {
        let name = match refusal {
            Refusal::RateLimited => "throttlingException",
            Refusal::Overloaded => "serviceUnavailableException",
            Refusal::Broken => "internalServerException",
            Refusal::BadRequest => "validationException",
            _ => return None,
        };
        Some(exception(name, &json!({ "message": WORDS })))
    }

    /// A frame whose payload was changed on its way.
    fn garbage(&self) -> Bytes {
        let mut frame = event("messageStart", &json!({ "role": "assistant" })).to_vec();
        let last = frame.len() - 6;
        frame[last] ^= 1;
        frame.into()
    }

    fn aside(&self, asked: &Asked, tokens: u64) -> Option<(u16, Value)> {
        asked.path.ends_with("/count-tokens").then(|| (200, json!({ "inputTokens": tokens })))
    }

    /// Reasoning is not told apart.
    fn tells(&self, tokens: Tokens) -> Tokens {
        Tokens { reasoning: 0, ..tokens }
    }

    fn replays(&self) -> bool {
        true
    }

    fn heard(&self, asked: &Asked) -> Heard {
        let body = &asked.body;
        let blocks = |role: &'static str| {
            let turns = list(&body["messages"]).iter().filter(move |turn| turn["role"] == role);
            turns.map(|turn| list(&turn["content"]))
        };
        let said = || blocks("user").flatten();
        let results = said().map(|block| &block["toolResult"]).filter(|result| !result.is_null());
        let inner = said().flat_map(|block| list(&block["toolResult"]["content"]));
        let format = &body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"];
        Heard {
            system: texts(list(&body["system"])),
            question: blocks("user").next_back().map(texts).unwrap_or_default(),
            tools: list(&body["toolConfig"]["tools"])
                .iter()
                .filter_map(|tool| Some(tool["toolSpec"]["name"].as_str()?.to_owned()))
                .collect(),
            replayed: blocks("assistant").next_back().unwrap_or_default().iter().filter_map(block_of).collect(),
            pictures: said().chain(inner).filter(|block| block.get("image").is_some()).count(),
            results: results.map(|result| (word(&result["toolUseId"]), texts(list(&result["content"])))).collect(),
            limit: body["inferenceConfig"]["maxTokens"].as_u64(),
            schema: format.as_str().and_then(|text| serde_json::from_str(text).ok()),
        }
    }
}

fn block_frames(index: usize, block: &Block, strange: bool) -> Vec<Frame> {
    let place = |mut payload: Value| {
        payload["contentBlockIndex"] = index.into();
        if strange {
            payload["mood"] = "good".into();
        }
        payload
    };
    let delta = |delta: Value| event("contentBlockDelta", &place(json!({ "delta": delta })));
    let mut frames: Vec<Frame> = match block {
        Block::Thinking { text, signature } => {
            let (head, tail) = text.split_at(text.len() / 2);
            let reasoning = |piece: Value| Frame::other(delta(json!({ "reasoningContent": piece })));
            let texts = [head, tail].map(|text| reasoning(json!({ "text": text })));
            texts.into_iter().chain([reasoning(json!({ "signature": signature }))]).collect()
        }
        Block::Text(pieces) => pieces.iter().map(|piece| Frame::text(delta(json!({ "text": piece })))).collect(),
        Block::Tool { id, name, arguments } => {
            let start = json!({ "start": { "toolUse": { "toolUseId": id, "name": name } } });
            let piece = |piece| Frame::other(delta(json!({ "toolUse": { "input": piece } })));
            let start = Frame::other(event("contentBlockStart", &place(start)));
            [start].into_iter().chain(arguments.iter().map(piece)).collect()
        }
    };
    frames.push(Frame::other(event("contentBlockStop", &place(json!({})))));
    frames
}

fn block_of(block: &Value) -> Option<Block> {
    let (call, thought) = (&block["toolUse"], &block["reasoningContent"]["reasoningText"]);
    if let Some(text) = block["text"].as_str() {
        return Some(Block::Text(vec![text.to_owned()]));
    }
    if !call.is_null() {
        let arguments = vec![call["input"].to_string()];
        return Some(Block::Tool { id: word(&call["toolUseId"]), name: word(&call["name"]), arguments });
    }
    (!thought.is_null())
        .then(|| Block::Thinking { text: word(&thought["text"]), signature: word(&thought["signature"]) })
}

fn texts(blocks: &[Value]) -> String {
    blocks.iter().filter_map(|block| block["text"].as_str()).collect()
}

fn reason(ending: Ending) -> &'static str {
    match ending {
        Ending::End => "end_turn",
        Ending::Tools => "tool_use",
        Ending::Length => "max_tokens",
        Ending::Declined => "content_filtered",
        Ending::Unheard => "moved_by_the_moment",
    }
}

fn usage(tokens: Tokens) -> Value {
    let written = tokens.cache_write + tokens.cache_write_1h;
    json!({
        "inputTokens": tokens.input, "outputTokens": tokens.output,
        "totalTokens": tokens.input + tokens.output + tokens.cache_read + written,
        "cacheReadInputTokens": tokens.cache_read, "cacheWriteInputTokens": written,
        "cacheDetails": [
            { "ttl": "1h", "inputTokens": tokens.cache_write_1h }, { "ttl": "5m", "inputTokens": tokens.cache_write },
        ],
    })
}

/// The status and the exception's name. 529 is no status of the service's model, but gateways in front of it have it.
fn words(refusal: Refusal) -> (u16, &'static str) {
    match refusal {
        Refusal::RateLimited => (429, "ThrottlingException"),
        Refusal::Spent => (400, "ServiceQuotaExceededException"),
        Refusal::BadKey => (403, "UnrecognizedClientException"),
        Refusal::Forbidden => (403, "AccessDeniedException"),
        Refusal::BadRequest => (400, "ValidationException"),
        Refusal::NotFound => (404, "ResourceNotFoundException"),
        Refusal::TooLong => (413, "RequestEntityTooLargeException"),
        Refusal::Overloaded => (529, "OverloadedException"),
        Refusal::Broken => (500, "InternalServerException"),
    }
}
