//! Which model an agent asks.

use garde::Validate;
use greenroom_contract::port::llm::Effort;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AnthropicOptions, CapabilityWords, Price, PromptCache};
use crate::HumanDuration;

/// Which model an agent asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct LlmConfig {
    /// Whose model. `auto` takes the first that is usable.
    #[garde(skip)]
    pub provider: Provider,
    /// The provider's name of the model. Required, except for `auto` and `scripted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(min = 1, max = 200)))]
    pub model: Option<String>,
    /// At most so many tokens of answer.
    #[serde(default = "default_max_tokens")]
    #[garde(range(min = 1, max = 1_000_000))]
    pub max_tokens: u32,
    /// Sampling temperature; models of 2026 mostly refuse it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 2.0)))]
    pub temperature: Option<f32>,
    /// How hard the model thinks before it answers; its own default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub effort: Option<Effort>,
    /// The server's address, for `openai-compatible` (required there) and to override the others'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(min = 1)))]
    pub base_url: Option<String>,
    /// The environment variable that holds the key, where it is not the provider's usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(min = 1)))]
    pub api_key_env: Option<String>,
    /// For how long the provider remembers the beginning of a conversation (Anthropic, Bedrock).
    #[serde(default, skip_serializing_if = "is_default")]
    #[garde(skip)]
    pub cache: PromptCache,
    /// What only Anthropic has.
    #[serde(default, skip_serializing_if = "is_default")]
    #[garde(dive)]
    pub anthropic: AnthropicOptions,
    /// What the model's tokens cost, where the price data that come with this version do not know it or are wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub price: Option<Price>,
    /// What the model takes, where the table that comes with this version does not know it or is wrong.
    #[serde(default, skip_serializing_if = "is_default")]
    #[garde(dive)]
    pub capabilities: CapabilityWords,
    /// By which of OpenAI's APIs the model is asked.
    #[serde(default, skip_serializing_if = "Api::is_auto")]
    #[garde(skip)]
    pub api: Api,
    /// The form of the answer: JSON that fits a schema. The execution's output is then that JSON, not a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub output: Option<Output>,
    /// What only Ollama has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub ollama: Option<OllamaOptions>,
    /// Tried in this order when the first cannot answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(dive, length(max = 5))]
    pub fallback: Vec<Fallback>,
    /// What the `scripted` stand-in says: the first rule whose `when` is in the question wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(dive)]
    pub script: Vec<ScriptRule>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn default_max_tokens() -> u32 {
    1024
}

impl LlmConfig {
    /// The same for another model. The address, the API and the key's name go with it if it is the same provider's.
    pub fn with_model(&self, other: &Fallback) -> Self {
        let same = other.provider == self.provider;
        Self {
            provider: other.provider,
            model: other.model.clone(),
            base_url: self.base_url.clone().filter(|_| same),
            api_key_env: self.api_key_env.clone().filter(|_| same),
            // What is known of this one's model is not true of another's.
            price: None,
            capabilities: CapabilityWords::default(),
            api: if same { self.api } else { Api::Auto },
            fallback: Vec::new(),
            ..self.clone()
        }
    }
}

/// By which of OpenAI's APIs a model is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// The Responses API at OpenAI, chat completions everywhere else.
    #[default]
    Auto,
    /// The Responses API.
    Responses,
    /// Chat completions.
    Chat,
}

impl Api {
    fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

/// The form of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// A name for it, which some models are shown.
    #[serde(default = "default_output_name")]
    #[garde(length(min = 1, max = 64), pattern(r"^[A-Za-z0-9_-]+$"))]
    pub name: String,
    /// JSON Schema of the answer, with `type: object`. It may not refer to other documents.
    #[garde(custom(is_object))]
    pub schema: Value,
}

fn default_output_name() -> String {
    "answer".to_owned()
}

fn is_object(schema: &Value, _: &()) -> garde::Result {
    match schema.get("type") {
        Some(Value::String(kind)) if kind == "object" => Ok(()),
        _ => Err(garde::Error::new("no schema of an object; write `type: object` at its top")),
    }
}

/// What only Ollama has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct OllamaOptions {
    /// How many tokens fit into the context; the server's own default when absent, which is small. What does not fit is
    /// refused, never cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 128, max = 100_000_000)))]
    pub num_ctx: Option<u32>,
    /// How long the model stays loaded after an answer; the server's own default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub keep_alive: Option<HumanDuration>,
}

/// Another model, for when the first cannot answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    /// Whose model.
    #[garde(skip)]
    pub provider: Provider,
    /// The provider's name of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(min = 1, max = 200)))]
    pub model: Option<String>,
}

/// Whose model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// Amazon Bedrock.
    Bedrock,
    /// OpenAI.
    Openai,
    /// Anthropic.
    Anthropic,
    /// A local Ollama.
    Ollama,
    /// Any server that speaks OpenAI's chat completions.
    OpenaiCompatible,
    /// The first that is usable, in this order: Anthropic, OpenAI, Bedrock, Ollama, else `scripted`.
    Auto,
    /// An honest stand-in without a model: it plays the rules of `script`.
    Scripted,
}

impl Provider {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bedrock => "bedrock",
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
            Self::Ollama => "ollama",
            Self::OpenaiCompatible => "openai-compatible",
            Self::Auto => "auto",
            Self::Scripted => "scripted",
        }
    }
}

/// A rule of the `scripted` stand-in. Without `reply`, `tool`, `error`, `panic` or `spin` it says that it is a stand-in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct ScriptRule {
    /// The rule applies when the last question contains this text (in any case). Absent: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub when: Option<String>,
    /// The answer. `{input}` stands for the question, `{tool}` for the last tool's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub reply: Option<String>,
    /// A tool that is asked for first; the reply follows once it has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub tool: Option<ScriptedTool>,
    /// How long the stand-in takes before it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub delay: Option<HumanDuration>,
    /// Fails with this error instead of answering, to try what happens then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub error: Option<String>,
    /// Panics with this message instead of answering, to try what happens then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub panic: Option<String>,
    /// Computes for so long without giving its thread back, as an endless loop would, to try what happens then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub spin: Option<HumanDuration>,
}

/// A tool that the stand-in asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScriptedTool {
    /// Its name.
    pub name: String,
    /// Its arguments.
    #[serde(default)]
    pub input: Value,
}
