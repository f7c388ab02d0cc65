//! Tokens as the server counts them, normalised: OpenAI counts cached tokens into the input, we do not.

use greenroom_contract::port::llm::{Part, Usage};
use serde::Deserialize;

use crate::llm::{estimate, wire::lenient};

/// The usage object. Everything may be missing.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Counted {
    #[serde(default, deserialize_with = "lenient")]
    prompt_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    completion_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    prompt_tokens_details: Option<InputDetails>,
    #[serde(default, deserialize_with = "lenient")]
    completion_tokens_details: Option<OutputDetails>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct InputDetails {
    #[serde(default, deserialize_with = "lenient")]
    cached_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    cache_write_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct OutputDetails {
    #[serde(default, deserialize_with = "lenient")]
    reasoning_tokens: Option<u64>,
}

impl Counted {
    /// Normalised; what the server did not count is estimated, and then the whole is flagged as an estimate.
    pub(super) fn usage(&self, said: &[Part], estimated_input: impl FnOnce() -> u64) -> Usage {
        let details = self.prompt_tokens_details.unwrap_or_default();
        let cache_read = details.cached_tokens.unwrap_or(0);
        let cache_write = details.cache_write_tokens.unwrap_or(0);
        let cached = cache_read.saturating_add(cache_write);
        Usage {
            input: self.prompt_tokens.map_or_else(estimated_input, |all| all.saturating_sub(cached)),
            output: self.completion_tokens.unwrap_or_else(|| estimate::output(said)),
            cache_read,
            cache_write,
            cache_write_1h: 0,
            reasoning: self.completion_tokens_details.unwrap_or_default().reasoning_tokens.unwrap_or(0),
            estimated: self.prompt_tokens.is_none() || self.completion_tokens.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: serde_json::Value) -> Usage {
        serde_json::from_value::<Counted>(json).unwrap().usage(&[Part::Text { text: "x".repeat(28) }], || 11)
    }

    #[test]
    fn cached_tokens_are_taken_out_of_the_input() {
        let usage = read(json!({
            "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
            "prompt_tokens_details": { "cached_tokens": 60, "cache_write_tokens": 30 },
            "completion_tokens_details": { "reasoning_tokens": 5 }
        }));
        let expected =
            Usage { input: 10, output: 20, cache_read: 60, cache_write: 30, reasoning: 5, ..Usage::default() };
        assert_eq!(usage, expected);
    }

    #[test]
    fn what_is_missing_is_estimated_and_said_so() {
        assert_eq!(read(json!({})), Usage { input: 11, output: 7, estimated: true, ..Usage::default() });
        let partly = read(json!({ "prompt_tokens": 3, "completion_tokens": null, "prompt_tokens_details": null }));
        assert_eq!(partly, Usage { input: 3, output: 7, estimated: true, ..Usage::default() });
        assert_eq!(read(json!({ "prompt_tokens": "3", "completion_tokens": 4.0 })).input, 11);
    }
}
