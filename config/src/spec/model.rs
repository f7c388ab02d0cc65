//! What is known of a model, and what only Anthropic has.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// For how long a provider remembers the beginning of a conversation, where it is told that (Anthropic, Bedrock).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PromptCache {
    /// Five minutes for a conversation that will be sent again: with tools, or beyond its first question.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// Not at all.
    #[serde(rename = "off")]
    Off,
    /// Five minutes, counted anew with each use.
    #[serde(rename = "5m")]
    FiveMinutes,
    /// An hour: dearer to write.
    #[serde(rename = "1h")]
    Hour,
}

/// What only Anthropic has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct AnthropicOptions {
    /// The version of the API.
    #[garde(skip)]
    pub version: AnthropicVersion,
    /// Features that are tried out, by their names (`anthropic-beta`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = 20), inner(pattern(r"^[A-Za-z0-9._-]{1,100}$")))]
    pub betas: Vec<String>,
}

/// A version of Anthropic's API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AnthropicVersion {
    /// The current one. It refuses every sampling parameter.
    #[default]
    #[serde(rename = "2026-10-21")]
    V20261021,
    /// The one before.
    #[serde(rename = "2023-06-01")]
    V20230601,
}

impl AnthropicVersion {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V20261021 => "2026-10-21",
            Self::V20230601 => "2023-06-01",
        }
    }
}

/// What a model's tokens cost, in US dollars per million.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Input.
    #[garde(range(min = 0.0, max = 100_000.0))]
    pub input: f64,
    /// Output.
    #[garde(range(min = 0.0, max = 100_000.0))]
    pub output: f64,
    /// Input that is read from the provider's cache; like other input when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 100_000.0)))]
    pub cache_read: Option<f64>,
    /// Input that is written to it; like other input when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 100_000.0)))]
    pub cache_write: Option<f64>,
    /// Input that is written to it for an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 100_000.0)))]
    pub cache_write_1h: Option<f64>,
}

/// What a model takes, where the operator knows better than the table that comes with this version. What is absent stays
/// as the table says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct CapabilityWords {
    /// Whether it takes a temperature.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub sampling: Option<bool>,
    /// Whether it thinks before it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub thinking: Option<ThinkingWord>,
    /// Whether it can be given a schema of its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub structured_output: Option<bool>,
    /// Whether it takes pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub vision: Option<bool>,
    /// Whether the beginning of a conversation can be remembered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub prompt_cache: Option<bool>,
    /// How many tokens of answer it has room for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1)))]
    pub max_output: Option<u32>,
    /// How many tokens fit into its context.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1)))]
    pub context_window: Option<u64>,
}

/// Whether a model thinks before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ThinkingWord {
    /// It does not, and has no such setting.
    Never,
    /// As it is told.
    Choice,
    /// It cannot be switched off.
    Always,
}
