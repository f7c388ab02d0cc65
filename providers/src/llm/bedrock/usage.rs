//! Tokens as Converse counts them. `inputTokens` is without the cached ones already.

use aws_sdk_bedrockruntime::types::TokenUsage;
use greenroom_contract::port::llm::Usage;

/// The count of one answer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    input: u64,
    output: u64,
    read: u64,
    written: u64,
    written_1h: u64,
}

impl Counted {
    /// Reads the count.
    pub(super) fn read(usage: &TokenUsage) -> Self {
        let count = |number: i32| u64::try_from(number).unwrap_or(0);
        let details = usage.cache_details();
        Self {
            input: count(usage.input_tokens()),
            output: count(usage.output_tokens()),
            read: count(usage.cache_read_input_tokens().unwrap_or(0)),
            written: count(usage.cache_write_input_tokens().unwrap_or(0)),
            written_1h: details
                .iter()
                .filter(|detail| detail.ttl().as_str() == "1h")
                .map(|detail| count(detail.input_tokens()))
                .sum(),
        }
    }

    /// Normalised. Reasoning is not told apart.
    pub(super) fn usage(self) -> Usage {
        Usage {
            input: self.input,
            output: self.output,
            cache_read: self.read,
            // What lasts an hour is part of what was written in all.
            cache_write: self.written.saturating_sub(self.written_1h),
            cache_write_1h: self.written_1h,
            reasoning: 0,
            estimated: false,
        }
    }
}
