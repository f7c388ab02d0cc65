//! What a model takes and refuses.

use greenroom_config::spec::{CapabilityWords, ThinkingWord};
use serde::Deserialize;

use super::table::{find, find_anywhere};

/// Whether a model takes sampling parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// Yes; also of a model that the data does not know, where the operator's word stands.
    #[default]
    Taken,
    /// Only in a request that switches reasoning off.
    EffortNone,
    /// Never.
    Refused,
}

/// Whether a model takes tools on chat completions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatTools {
    /// Yes; also of a model that the data does not know.
    #[default]
    Yes,
    /// Only with `reasoning_effort: "none"`.
    EffortNone,
    /// No: by the Responses API only.
    No,
}

/// Whether a model thinks before it answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Thinking {
    /// It does not, and has no such setting.
    Never,
    /// As it is told; also of a model that the data does not know, where the operator's word stands.
    #[default]
    Choice,
    /// It cannot be switched off.
    Always,
}

/// What a model takes and refuses. Of a model that the data does not know everything is believed to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Sampling parameters.
    pub sampling: Sampling,
    /// Tools on chat completions.
    pub chat_tools: ChatTools,
    /// Thinking.
    pub thinking: Thinking,
    /// Whether it can be told how to choose among its tools.
    pub tool_choice: bool,
    /// Whether it can be made to use a tool.
    pub forced_tools: bool,
    /// Whether a schema of the answer can be given to it by the vendor's own means.
    pub structured_output: bool,
    /// Whether tools' arguments can be held to their schema.
    pub strict_tools: bool,
    /// Whether it takes pictures.
    pub vision: bool,
    /// Whether the beginning of its answer can be put into its mouth.
    pub prefill: bool,
    /// Whether the beginning of a conversation can be remembered.
    pub prompt_cache: bool,
    /// From how many tokens on.
    pub prompt_cache_min_tokens: Option<u32>,
    /// How many tokens of answer it has room for.
    pub max_output: Option<u32>,
    /// How many tokens of input it has room for, which we take for the whole context: where output has room of its own,
    /// that is on the safe side.
    #[serde(rename = "max_input")]
    pub context_window: Option<u64>,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            sampling: Sampling::default(),
            chat_tools: ChatTools::default(),
            thinking: Thinking::default(),
            tool_choice: true,
            forced_tools: true,
            structured_output: true,
            strict_tools: true,
            vision: true,
            prefill: true,
            prompt_cache: true,
            prompt_cache_min_tokens: None,
            max_output: None,
            context_window: None,
        }
    }
}

impl Capabilities {
    /// What `provider`'s `model` takes, as far as the data knows; of Bedrock's also under the name of another region or
    /// in an ARN, which changes the price and not the model.
    pub fn of(provider: &str, model: &str) -> Self {
        find(provider, model)
            .or_else(|| find_anywhere(provider, model))
            .map(|entry| entry.capabilities)
            .unwrap_or_default()
    }

    /// The same where the operator knows better.
    #[must_use]
    pub fn with(mut self, words: Option<&CapabilityWords>) -> Self {
        let Some(words) = words else { return self };
        if let Some(taken) = words.sampling {
            self.sampling = if taken { Sampling::Taken } else { Sampling::Refused };
        }
        if let Some(word) = words.thinking {
            self.thinking = match word {
                ThinkingWord::Never => Thinking::Never,
                ThinkingWord::Choice => Thinking::Choice,
                ThinkingWord::Always => Thinking::Always,
            };
        }
        self.structured_output = words.structured_output.unwrap_or(self.structured_output);
        self.vision = words.vision.unwrap_or(self.vision);
        self.prompt_cache = words.prompt_cache.unwrap_or(self.prompt_cache);
        self.max_output = words.max_output.or(self.max_output);
        self.context_window = words.context_window.or(self.context_window);
        self
    }
}

/// Whether `model` takes sampling parameters.
pub fn sampling(provider: &str, model: &str) -> Sampling {
    Capabilities::of(provider, model).sampling
}

/// Whether `model` takes tools on chat completions.
pub fn chat_tools(provider: &str, model: &str) -> ChatTools {
    Capabilities::of(provider, model).chat_tools
}

/// How many tokens of answer `model` has room for, if that is known.
pub fn max_output(provider: &str, model: &str) -> Option<u32> {
    Capabilities::of(provider, model).max_output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_models_of_2026_refuse() {
        assert_eq!(sampling("openai", "gpt-6-astra"), Sampling::Refused);
        assert_eq!(sampling("openai", "gpt-6-luna"), Sampling::EffortNone);
        assert_eq!(sampling("openai", "gpt-4.1"), Sampling::Taken);
        assert_eq!(sampling("anthropic", "claude-sonnet-5-5"), Sampling::Refused);
        assert_eq!(chat_tools("openai", "gpt-6-luna"), ChatTools::EffortNone);
        assert_eq!(chat_tools("openai", "gpt-6.1-sol"), ChatTools::No);
        assert_eq!(chat_tools("openai", "gpt-7-nova"), ChatTools::Yes);
        assert_eq!(max_output("openai", "gpt-4o-mini"), Some(16_384));
        assert_eq!(max_output("openai", "gpt-7-nova"), None);
        let opus = Capabilities::of("anthropic", "claude-opus-5-5");
        assert_eq!((opus.thinking, opus.forced_tools, opus.prefill), (Thinking::Always, false, false));
        assert_eq!((opus.context_window, opus.prompt_cache_min_tokens), (Some(1_000_000), Some(512)));
        let llama = Capabilities::of("bedrock", "us.meta.llama4-scout-17b-instruct-v1:0");
        assert_eq!((llama.tool_choice, llama.vision, llama.prompt_cache), (false, false, false));
        assert!(!Capabilities::of("bedrock", "anthropic.claude-opus-5-5").structured_output);
    }

    #[test]
    fn the_operators_word_stands_over_the_table() {
        let words = CapabilityWords { vision: Some(false), context_window: Some(5), ..CapabilityWords::default() };
        let known = Capabilities::of("anthropic", "claude-opus-5-5");
        let told = known.with(Some(&words));
        assert_eq!(told, Capabilities { vision: false, context_window: Some(5), ..known });
        assert_eq!(known.with(None), known);
    }
}
