//! Tokens as the server counts them, normalised: OpenAI counts cached tokens into the input, we do not.

use greenroom_contract::port::llm::{Part, Usage};
use serde::Deserialize;

use crate::llm::{estimate, wire::lenient};

/// The usage object. Everything may be missing.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Counted {
    #[serde(default, deserialize_with = "lenient")]
    input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    output_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    input_tokens_details: Option<InputDetails>,
    #[serde(default, deserialize_with = "lenient")]
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct InputDetails {
    #[serde(default, deserialize_with = "lenient")]
    cached_tokens: Option<u64>,
    /// However long they are kept: we ask for the usual time only.
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
        let details = self.input_tokens_details.unwrap_or_default();
        let cache_read = details.cached_tokens.unwrap_or(0);
        let cache_write = details.cache_write_tokens.unwrap_or(0);
        let cached = cache_read.saturating_add(cache_write);
        Usage {
            input: self.input_tokens.map_or_else(estimated_input, |all| all.saturating_sub(cached)),
            output: self.output_tokens.unwrap_or_else(|| estimate::output(said)),
            cache_read,
            cache_write,
            reasoning: self.output_tokens_details.unwrap_or_default().reasoning_tokens.unwrap_or(0),
            estimated: self.input_tokens.is_none() || self.output_tokens.is_none(),
            ..Usage::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cached_tokens_are_taken_out_of_the_input_and_what_is_missing_is_estimated() {
        let read = |json| serde_json::from_value::<Counted>(json).unwrap().usage(&[], || 11);
        let counted = read(json!({
            "input_tokens": 100, "output_tokens": 20, "total_tokens": 120,
            "input_tokens_details": {
                "cached_tokens": 60, "cache_write_tokens": 30,
                "cache_write_tokens_details": { "ttl_30m_tokens": 30, "ttl_12h_tokens": 0 }
            },
            "output_tokens_details": { "reasoning_tokens": 5 }
        }));
        let expected =
            Usage { input: 10, output: 20, cache_read: 60, cache_write: 30, reasoning: 5, ..Usage::default() };
        assert_eq!(counted, expected);
        assert_eq!(read(json!({})), Usage { input: 11, estimated: true, ..Usage::default() });
    }
}
