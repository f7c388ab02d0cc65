//! From the stream's events to chunks and, in the end, the answer.

use std::collections::BTreeMap;

use aws_sdk_bedrockruntime::types::{
    ContentBlockDelta, ContentBlockStart, ConverseStreamOutput, ReasoningContentBlockDelta, StopReason,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use greenroom_contract::port::llm::{Error, Part, Stop, ToolUse};
use serde_json::{Map, Value, json};

use super::{model::PROVIDER, usage::Counted};

/// A block so far.
enum Block {
    Text(String),
    Tool { id: String, name: String, arguments: String },
    Reasoning { text: String, signature: String },
    Redacted(Vec<u8>),
}

/// What has come so far.
#[derive(Default)]
pub(super) struct Answer {
    blocks: BTreeMap<i32, Block>,
    begun: bool,
    stop: Option<StopReason>,
    /// It comes last of all.
    pub(super) counted: Option<Counted>,
}

impl Answer {
    /// Takes one event. Returns the new text; an empty one means that the model showed life without text.
    pub(super) fn take(&mut self, event: ConverseStreamOutput) -> String {
        self.begun = true;
        match event {
            ConverseStreamOutput::ContentBlockStart(start) => {
                // Nothing is said of a text's beginning.
                if let Some(ContentBlockStart::ToolUse(tool)) = start.start {
                    let (id, name) = (tool.tool_use_id, tool.name);
                    self.blocks.insert(start.content_block_index, Block::Tool { id, name, arguments: String::new() });
                }
            }
            ConverseStreamOutput::ContentBlockDelta(event) => {
                if let Some(delta) = event.delta {
                    return self.add(event.content_block_index, delta);
                }
            }
            ConverseStreamOutput::MessageStop(stop) => self.stop = Some(stop.stop_reason),
            ConverseStreamOutput::Metadata(metadata) => {
                self.counted = metadata.usage.as_ref().map(Counted::read).or(self.counted);
            }
            _ => {}
        }
        String::new()
    }

    fn add(&mut self, index: i32, delta: ContentBlockDelta) -> String {
        match delta {
            ContentBlockDelta::Text(piece) => {
                let block = self.blocks.entry(index).or_insert_with(|| Block::Text(String::new()));
                if let Block::Text(text) = block {
                    text.push_str(&piece);
                    return piece;
                }
            }
            ContentBlockDelta::ToolUse(piece) => {
                if let Some(Block::Tool { arguments, .. }) = self.blocks.get_mut(&index) {
                    arguments.push_str(&piece.input);
                }
            }
            ContentBlockDelta::ReasoningContent(piece) => self.reason(index, piece),
            _ => {}
        }
        String::new()
    }

    fn reason(&mut self, index: i32, piece: ReasoningContentBlockDelta) {
        if let ReasoningContentBlockDelta::RedactedContent(bytes) = piece {
            match self.blocks.entry(index).or_insert_with(|| Block::Redacted(Vec::new())) {
                Block::Redacted(all) => all.extend_from_slice(bytes.as_ref()),
                other => *other = Block::Redacted(bytes.into_inner()),
            }
            return;
        }
        let empty = || Block::Reasoning { text: String::new(), signature: String::new() };
        let Block::Reasoning { text, signature } = self.blocks.entry(index).or_insert_with(empty) else { return };
        match piece {
            ReasoningContentBlockDelta::Text(piece) => text.push_str(&piece),
            ReasoningContentBlockDelta::Signature(piece) => signature.push_str(&piece),
            _ => {}
        }
    }

    /// Whether anything of an answer has come.
    pub(super) fn begun(&self) -> bool {
        self.begun
    }

    /// Whether the model has stopped: the answer is whole, if the stream breaks now.
    pub(super) fn finished(&self) -> bool {
        self.stop.is_some()
    }

    /// Whether nothing can follow.
    pub(super) fn is_last(&self) -> bool {
        self.finished() && self.counted.is_some()
    }

    /// The parts, and why the model stopped.
    pub(super) fn finish(self) -> Result<(Vec<Part>, Stop), Error> {
        let provider = || PROVIDER.to_owned();
        let reason = self.stop.as_ref().map(StopReason::as_str).unwrap_or_default();
        let interrupted = |message: String| Error::Interrupted { provider: provider(), message };
        match reason {
            "content_filtered" | "guardrail_intervened" | "refusal" => {
                let message = format!("the answer was stopped ({reason})");
                return Err(Error::Refused { provider: provider(), message });
            }
            "malformed_model_output" | "malformed_tool_use" => {
                return Err(interrupted(format!("the model's answer is malformed ({reason})")));
            }
            _ => {}
        }
        let full = matches!(reason, "max_tokens" | "model_context_window_exceeded");
        if reason == "model_context_window_exceeded" && self.blocks.is_empty() {
            let message = "there is no room for an answer".to_owned();
            return Err(Error::ContextTooLong { provider: provider(), message });
        }
        let mut parts = Vec::with_capacity(self.blocks.len());
        for block in self.blocks.into_values() {
            parts.extend(part(block, full).map_err(interrupted)?);
        }
        let stop = match reason {
            _ if parts.iter().any(|part| matches!(part, Part::ToolUse(_))) => Stop::ToolUse,
            _ if full => Stop::MaxTokens,
            "end_turn" | "stop_sequence" => Stop::EndTurn,
            _ => Stop::Other,
        };
        Ok((parts, stop))
    }
}

/// With `cut` the answer had no more room: a call may be cut, and is left out.
fn part(block: Block, cut: bool) -> Result<Option<Part>, String> {
    let own = |content: Value| {
        Ok(Some(Part::Opaque { provider: PROVIDER.to_owned(), value: json!({ "reasoningContent": content }) }))
    };
    match block {
        Block::Text(text) if text.is_empty() => Ok(None),
        Block::Text(text) => Ok(Some(Part::Text { text })),
        Block::Tool { .. } if cut => Ok(None),
        Block::Tool { id, name, arguments } => match object(&arguments) {
            Some(input) => Ok(Some(Part::ToolUse(ToolUse { id, name, input: Value::Object(input) }))),
            None => Err(format!("the model asked for the tool {name:?} with arguments that are no JSON object")),
        },
        Block::Reasoning { text, signature } if signature.is_empty() => {
            own(json!({ "reasoningText": { "text": text } }))
        }
        Block::Reasoning { text, signature } => {
            own(json!({ "reasoningText": { "text": text, "signature": signature } }))
        }
        Block::Redacted(bytes) => own(json!({ "redactedContent": STANDARD.encode(bytes) })),
    }
}

fn object(arguments: &str) -> Option<Map<String, Value>> {
    match arguments.trim() {
        "" => Some(Map::new()),
        text => serde_json::from_str(text).ok(),
    }
}
