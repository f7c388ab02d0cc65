//! Tokens as the API counts them. `input_tokens` is without the cached ones already; a later count replaces an earlier.

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
    cache_read_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    cache_creation: Option<Written>,
    #[serde(default, deserialize_with = "lenient")]
    output_tokens_details: Option<OutputDetails>,
    /// Where it was processed.
    #[serde(default, deserialize_with = "lenient")]
    inference_geo: Option<Geo>,
    /// How fast the service was.
    #[serde(default, deserialize_with = "lenient")]
    speed: Option<Speed>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Geo {
    Us,
    #[serde(other)]
    Elsewhere,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Speed {
    Fast,
    #[serde(other)]
    Usual,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct Written {
    #[serde(default, deserialize_with = "lenient")]
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct OutputDetails {
    #[serde(default, alias = "reasoning_tokens", deserialize_with = "lenient")]
    thinking_tokens: Option<u64>,
}

impl Counted {
    /// Takes a newer count. What it does not speak of stays.
    pub(super) fn replace(&mut self, newer: Self) {
        *self = Self {
            input_tokens: newer.input_tokens.or(self.input_tokens),
            output_tokens: newer.output_tokens.or(self.output_tokens),
            cache_read_input_tokens: newer.cache_read_input_tokens.or(self.cache_read_input_tokens),
            cache_creation_input_tokens: newer.cache_creation_input_tokens.or(self.cache_creation_input_tokens),
            cache_creation: newer.cache_creation.or(self.cache_creation),
            output_tokens_details: newer.output_tokens_details.or(self.output_tokens_details),
            inference_geo: newer.inference_geo.or(self.inference_geo),
            speed: newer.speed.or(self.speed),
        };
    }

    /// The terms under which it was made, as far as they cost more.
    pub(super) fn terms(&self) -> Vec<&'static str> {
        let us = (self.inference_geo == Some(Geo::Us)).then_some("us");
        let fast = (self.speed == Some(Speed::Fast)).then_some("fast");
        us.into_iter().chain(fast).collect()
    }

    /// Normalised. `whole` says that the last count has come: without it the output is estimated, and flagged.
    pub(super) fn usage(&self, parts: &[Part], whole: bool, estimated_input: impl FnOnce() -> u64) -> Usage {
        let output = self.output_tokens.filter(|_| whole);
        // What lasts an hour is part of what was written in all.
        let hour = self.cache_creation.unwrap_or_default().ephemeral_1h_input_tokens.unwrap_or(0);
        Usage {
            input: self.input_tokens.unwrap_or_else(estimated_input),
            output: output.unwrap_or_else(|| estimate::output(parts)),
            cache_read: self.cache_read_input_tokens.unwrap_or(0),
            cache_write: self.cache_creation_input_tokens.unwrap_or(0).saturating_sub(hour),
            cache_write_1h: hour,
            reasoning: self.output_tokens_details.unwrap_or_default().thinking_tokens.unwrap_or(0),
            estimated: self.input_tokens.is_none() || output.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(json: Value) -> Counted {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_later_count_replaces_and_never_adds() {
        let mut counted = read(json!({ "input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 5 }));
        counted.replace(read(json!({ "output_tokens": 40 })));
        counted.replace(read(json!({ "output_tokens": 90, "input_tokens": null })));
        let expected = Usage { input: 10, output: 90, cache_read: 5, ..Usage::default() };
        assert_eq!(counted.usage(&[], true, || 99), expected);
    }

    #[test]
    fn terms_that_cost_more_are_told() {
        let counted = |json| read(json).terms();
        assert_eq!(counted(json!({ "inference_geo": "us", "speed": "fast" })), ["us", "fast"]);
        assert!(counted(json!({ "inference_geo": "global", "speed": "standard" })).is_empty());
        assert!(counted(json!({ "inference_geo": 7, "speed": null })).is_empty());
    }

    #[test]
    fn what_was_written_for_an_hour_is_told_apart() {
        let counted = read(json!({
            "input_tokens": 1, "output_tokens": 2, "cache_creation_input_tokens": 100,
            "cache_creation": { "ephemeral_5m_input_tokens": 70, "ephemeral_1h_input_tokens": 30 },
        }));
        let expected = Usage { input: 1, output: 2, cache_write: 70, cache_write_1h: 30, ..Usage::default() };
        assert_eq!(counted.usage(&[], true, || 0), expected);
    }

    #[test]
    fn without_a_last_count_the_output_is_an_estimate() {
        let counted = read(json!({ "input_tokens": 10, "output_tokens": 1 }));
        let said = [Part::Text { text: "twelve chars".to_owned() }];
        let expected = Usage { input: 10, output: 3, estimated: true, ..Usage::default() };
        assert_eq!(counted.usage(&said, false, || 0), expected);
        assert_eq!(read(json!({})).usage(&[], true, || 7), Usage { input: 7, estimated: true, ..Usage::default() });
    }
}
