//! From the API's events to chunks and, in the end, the answer.

use greenroom_contract::port::llm::{Error, Part, Stop};
use serde_json::Value;

use super::{block::Blocks, usage::Counted};

/// What has come so far.
#[derive(Default)]
pub(super) struct Answer {
    blocks: Blocks,
    begun: bool,
    stop_reason: Option<String>,
    /// Why the model, or a filter, declined.
    declined: Option<String>,
    ended: bool,
    /// As far as the API counted.
    pub(super) counted: Counted,
    /// The model, as the API names it.
    pub(super) model: Option<String>,
}

impl Answer {
    /// Takes one event. Returns the new text; an empty one means that the model showed life without text.
    pub(super) fn take(&mut self, event: &Value) -> String {
        match event["type"].as_str() {
            Some("message_start") => {
                self.message(&event["message"]);
                String::new()
            }
            Some("content_block_start") => {
                self.begun = true;
                self.blocks.begin(index(event), event["content_block"].clone())
            }
            Some("content_block_delta") => self.blocks.add(index(event), &event["delta"]),
            Some("message_delta") => {
                self.end(&event["delta"]);
                self.count(&event["usage"]);
                String::new()
            }
            Some("message_stop") => {
                self.ended = true;
                String::new()
            }
            // An answer that was not streamed: the whole message at once.
            Some("message") => {
                self.message(event);
                self.end(event);
                self.ended = true;
                let content = event["content"].as_array().map(Vec::as_slice).unwrap_or_default();
                (0..).zip(content).map(|(index, block)| self.blocks.begin(index, block.clone())).collect()
            }
            // Pings, the ends of blocks, and what came up after this was written.
            _ => String::new(),
        }
    }

    fn message(&mut self, message: &Value) {
        self.begun = true;
        self.model = message["model"].as_str().filter(|model| !model.is_empty()).map(str::to_owned);
        self.count(&message["usage"]);
    }

    fn end(&mut self, delta: &Value) {
        if let Some(reason) = delta["stop_reason"].as_str() {
            self.stop_reason = Some(reason.to_owned());
        }
        let details = &delta["stop_details"];
        let told = ["category", "explanation"].into_iter().filter_map(|name| details[name].as_str());
        let told: Vec<&str> = told.filter(|text| !text.is_empty()).collect();
        if !told.is_empty() {
            self.declined = Some(told.join(": "));
        }
    }

    fn count(&mut self, usage: &Value) {
        self.counted.replace(serde_json::from_value(usage.clone()).unwrap_or_default());
    }

    /// Whether anything of an answer has come.
    pub(super) fn begun(&self) -> bool {
        self.begun
    }

    /// Whether the API said why the model stopped: the answer is whole and counted, if the stream breaks now.
    pub(super) fn finished(&self) -> bool {
        self.stop_reason.is_some()
    }

    /// Whether nothing can follow.
    pub(super) fn is_last(&self) -> bool {
        self.ended
    }

    /// The parts, and why the model stopped. A call whose arguments are no JSON object is an [`Error::Interrupted`]:
    /// asking again may mend it.
    pub(super) fn finish(self, provider: &str) -> Result<(Vec<Part>, Stop), Error> {
        let provider = || provider.to_owned();
        let reason = self.stop_reason.as_deref();
        if reason == Some("refusal") {
            let message = self.declined.unwrap_or_else(|| "the model declined".to_owned());
            return Err(Error::Refused { provider: provider(), message });
        }
        let full = matches!(reason, Some("max_tokens" | "model_context_window_exceeded"));
        if reason == Some("model_context_window_exceeded") && self.blocks.is_empty() {
            let message = "there is no room for an answer".to_owned();
            return Err(Error::ContextTooLong { provider: provider(), message });
        }
        let parts = self.blocks.finish(full).map_err(|message| Error::Interrupted { provider: provider(), message })?;
        let stop = match reason {
            _ if parts.iter().any(|part| matches!(part, Part::ToolUse(_))) => Stop::ToolUse,
            _ if full => Stop::MaxTokens,
            Some("end_turn" | "stop_sequence") => Stop::EndTurn,
            _ => Stop::Other,
        };
        Ok((parts, stop))
    }
}

fn index(event: &Value) -> u64 {
    event["index"].as_u64().unwrap_or(0)
}
