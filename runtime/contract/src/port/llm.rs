//! Models: one request and one response for every provider. Streaming is the primitive; `complete` collects it.
//!
//! A stream yields text as it comes and ends with exactly one [`Chunk::Done`], or with an error; a stream that ends with
//! neither was cut and is an error too. Nothing is retried after the first chunk was handed on.

use std::time::Duration;

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use super::llm_error::Error;
use crate::{BoxFuture, BoxStream, money::MicroUsd, port::tool::ToolSpec};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The person or event.
    User,
    /// The model.
    Assistant,
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part>,
}

impl Message {
    /// A turn of plain text.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self { role, parts: vec![Part::Text { text: text.into() }] }
    }
}

/// A piece of a turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// The model asks for a tool (assistant turns).
    ToolUse(ToolUse),
    /// What the tool answered (user turns).
    ToolResult {
        /// The id of the request.
        id: String,
        /// The answer.
        content: String,
        /// Whether the tool failed.
        is_error: bool,
        /// Pictures that belong to the answer; a model that takes none gets a line of text in their place.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        images: Vec<Image>,
    },
    /// A picture (user turns).
    Image(Image),
    /// A provider's own block that must be replayed unchanged (signed thinking, for one); others leave it out.
    Opaque {
        /// The provider's registry name.
        provider: String,
        /// The block.
        value: Value,
    },
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its media type, for example `image/png`.
    pub media_type: String,
    /// Its bytes in base64 (RFC 4648, padded).
    pub data: String,
}

/// The media types of the pictures that models take; no other is handed to one.
pub const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// A request for a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolUse {
    /// The provider's id of the request.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// Its arguments, a JSON object.
    pub input: Value,
}

/// A question to a model.
#[derive(Debug, Clone)]
pub struct Request {
    /// The system prompt.
    pub system: Option<String>,
    /// The conversation.
    pub messages: Vec<Message>,
    /// The tools that it may ask for.
    pub tools: Vec<ToolSpec>,
    /// At most so many tokens of answer.
    pub max_tokens: u32,
    /// Sampling temperature; left out where the model refuses it.
    pub temperature: Option<f32>,
    /// How hard it thinks before it answers; the model's own default when absent. Left out where the model has no such
    /// choice.
    pub effort: Option<Effort>,
    /// The form that the answer must have; plain text when absent. The provider is asked for it natively where it can,
    /// else in words: whoever needs the form checks it.
    pub output: Option<OutputForm>,
    /// The key by which the provider recognises a repetition, where it can.
    pub idempotency_key: String,
    /// How long the provider may stay silent: from the request to the first chunk, and between chunks.
    pub silence: Duration,
}

/// How hard a model thinks before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// Not at all.
    None,
    /// A little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// More than that.
    Xhigh,
    /// All it can.
    Max,
}

impl Effort {
    /// The word, which is also the vendors'.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
        }
    }
}

/// The form of an answer: JSON that fits a schema.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputForm {
    /// A name for it: letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// JSON Schema of the answer.
    pub schema: Value,
}

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// It had said what it had to say.
    EndTurn,
    /// It asks for tools.
    ToolUse,
    /// The answer reached `max_tokens`.
    MaxTokens,
    /// A reason that this build does not know.
    Other,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// What was said, in order: text, tool requests, opaque blocks.
    pub parts: Vec<Part>,
    /// Why it stopped.
    pub stop: Stop,
    /// The tokens.
    pub usage: Usage,
    /// The model that answered, as the provider names it.
    pub model: String,
    /// The provider that answered, by its registry name.
    pub provider: String,
    /// The price, if it is known. A stand-in and a local model cost nothing, which is known.
    pub cost: Option<MicroUsd>,
}

impl Response {
    /// All text parts, joined.
    pub fn text(&self) -> String {
        self.parts
            .iter()
            .filter_map(|part| if let Part::Text { text } = part { Some(text.as_str()) } else { None })
            .collect()
    }

    /// The tools asked for, in order.
    pub fn tool_uses(&self) -> Vec<ToolUse> {
        self.parts
            .iter()
            .filter_map(|part| if let Part::ToolUse(ask) = part { Some(ask.clone()) } else { None })
            .collect()
    }
}

/// Tokens, normalised: `input` never includes what was read from or written to a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Input tokens at full price.
    pub input: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// Input tokens read from the provider's cache.
    #[serde(default)]
    pub cache_read: u64,
    /// Input tokens written to the provider's cache for its usual time (minutes).
    #[serde(default)]
    pub cache_write: u64,
    /// Input tokens written to the provider's cache for an hour, which some price apart.
    #[serde(default)]
    pub cache_write_1h: u64,
    /// The part of `output` that was reasoning.
    #[serde(default)]
    pub reasoning: u64,
    /// Whether the provider did not tell and the numbers are an estimate.
    #[serde(default)]
    pub estimated: bool,
}

impl Usage {
    /// The most that so many tokens can cost at these prices: fresh, read from a cache, written to it and, where that is
    /// asked for, written for an hour. `None` when one of the prices is unknown.
    pub fn dearest(input: u64, output: u64, hour: bool, price: impl Fn(&Self) -> Option<MicroUsd>) -> Option<MicroUsd> {
        let none = Self { output, ..Self::default() };
        let usual = [Self { input, ..none }, Self { cache_read: input, ..none }, Self { cache_write: input, ..none }];
        let hour = hour.then_some(Self { cache_write_1h: input, ..none });
        let mut most = MicroUsd::default();
        for usage in usual.iter().chain(&hour) {
            most = most.max(price(usage)?);
        }
        Some(most)
    }

    /// All input tokens, cached or not.
    pub fn all_input(&self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_written())
    }

    /// Input tokens written to a cache, for however long.
    pub fn cache_written(&self) -> u64 {
        self.cache_write.saturating_add(self.cache_write_1h)
    }
}

/// A piece of an answer as it comes.
#[derive(Debug, Clone, PartialEq)]
pub enum Chunk {
    /// More text.
    Text(String),
    /// A sign of life without text (reasoning, a piece of a tool's arguments).
    Progress,
    /// The whole answer; always the last.
    Done(Box<Response>),
}

/// A provider with its model, ready to answer.
pub trait Llm: Send + Sync + 'static {
    /// The provider's registry name, for example `openai`.
    fn provider(&self) -> &str;

    /// The model it asks.
    fn model(&self) -> &str;

    /// Asks, and yields the answer as it comes. Dropping the stream cancels the call.
    fn stream(&self, request: Request) -> BoxStream<'_, Result<Chunk, Error>>;

    /// Asks, and waits for the whole answer.
    fn complete(&self, request: Request) -> BoxFuture<'_, Result<Response, Error>> {
        Box::pin(async move {
            let mut chunks = self.stream(request);
            while let Some(chunk) = chunks.next().await {
                if let Chunk::Done(response) = chunk? {
                    return Ok(*response);
                }
            }
            Err(Error::Interrupted {
                provider: self.provider().to_owned(),
                message: "it ended without a last chunk".to_owned(),
            })
        })
    }

    /// How many tokens fit into its context, input and output together; `None` when that is not known.
    fn context_window(&self) -> Option<u64> {
        None
    }

    /// How many input tokens the request has; an estimate where the provider does not count.
    fn count_tokens(&self, request: &Request) -> BoxFuture<'_, Result<Usage, Error>>;

    /// What so many tokens cost; `None` when the model's price is unknown.
    fn cost(&self, usage: &Usage) -> Option<MicroUsd>;

    /// The most that a call with so many tokens of input and output can cost, cached or not; `None` when the price of
    /// any model that may answer is unknown. A provider that is asked to keep the input for an hour counts that price, too.
    fn most(&self, input: u64, output: u64) -> Option<MicroUsd> {
        Usage::dearest(input, output, false, |usage| self.cost(usage))
    }
}
