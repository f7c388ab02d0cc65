//! What a model refuses: sampling, tools on chat completions, more output than it has room for.

use serde::Deserialize;

use super::table::find;

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

/// Whether `model` takes sampling parameters.
pub fn sampling(provider: &str, model: &str) -> Sampling {
    find(provider, model).map(|entry| entry.sampling).unwrap_or_default()
}

/// Whether `model` takes tools on chat completions.
pub fn chat_tools(provider: &str, model: &str) -> ChatTools {
    find(provider, model).map(|entry| entry.chat_tools).unwrap_or_default()
}

/// How many tokens of answer `model` has room for, if that is known.
pub fn max_output(provider: &str, model: &str) -> Option<u32> {
    find(provider, model)?.max_output
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
    }
}
