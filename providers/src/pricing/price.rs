//! What so many tokens cost.

use greenroom_contract::{money::MicroUsd, port::llm::Usage};

use super::table::{Rates, find};

/// What `usage` costs at `provider`'s `model`; `None` when the price is not known, never zero in its place.
///
/// Cached tokens are priced as such; where a model has a long-context tier, the whole request is priced at that tier
/// once its input (cached or not) is longer than the tier's threshold. A stand-in and a local model cost nothing.
pub fn price(provider: &str, model: &str, usage: &Usage) -> Option<MicroUsd> {
    let Some(entry) = find(provider, model) else {
        // Ollama's `-cloud` models run on someone else's machine and are paid for.
        let free = provider == "scripted" || (provider == "ollama" && !model.ends_with("-cloud"));
        return free.then_some(MicroUsd(0));
    };
    let input = usage.input.saturating_add(usage.cache_read).saturating_add(usage.cache_write);
    let rates = match &entry.long {
        Some(tier) if input > tier.above => &tier.rates,
        _ => &entry.rates,
    };
    Some(MicroUsd(total(rates, usage).round() as i64))
}

/// In millionths of a dollar. Reasoning tokens are part of the output already.
fn total(rates: &Rates, usage: &Usage) -> f64 {
    usage.input as f64 * rates.input
        + usage.output as f64 * rates.output
        + usage.cache_read as f64 * rates.cache_read.unwrap_or(rates.input)
        + usage.cache_write as f64 * rates.cache_write.unwrap_or(rates.input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input: u64, output: u64, cache_read: u64, cache_write: u64) -> Usage {
        Usage { input, output, cache_read, cache_write, ..Usage::default() }
    }

    /// Worked out by hand from the price page's dollars per million tokens.
    #[test]
    fn prices_are_right_to_the_millionth_of_a_dollar() {
        // gpt-6-luna: 0.10 in, 0.50 out: 1000 × 0.1 + 200 × 0.5 = 200 µ$.
        assert_eq!(price("openai", "gpt-6-luna", &usage(1000, 200, 0, 0)), Some(MicroUsd(200)));
        // gpt-6-sol: 2 in, 10 out, 0.2 read, 2.5 write: 100 × 2 + 50 × 10 + 1000 × 0.2 + 400 × 2.5 = 1900 µ$.
        assert_eq!(price("openai", "gpt-6-sol", &usage(100, 50, 1000, 400)), Some(MicroUsd(1900)));
        // claude-haiku-4-5: 1 in, 5 out, 0.1 read: 10 × 1 + 3 × 5 + 10_000 × 0.1 = 1025 µ$.
        assert_eq!(price("anthropic", "claude-haiku-4-5", &usage(10, 3, 10_000, 0)), Some(MicroUsd(1025)));
        // gpt-4o-mini writes its cache free of extra charge: 0.15 × 1000 = 150 µ$.
        assert_eq!(price("openai", "gpt-4o-mini", &usage(0, 0, 0, 1000)), Some(MicroUsd(150)));
    }

    #[test]
    fn a_long_context_costs_its_tier_for_the_whole_request() {
        // gpt-6-luna up to 272 000: 272_000 × 0.1 = 27 200 µ$; one more token and all of it costs 0.2.
        assert_eq!(price("openai", "gpt-6-luna", &usage(272_000, 0, 0, 0)), Some(MicroUsd(27_200)));
        assert_eq!(price("openai", "gpt-6-luna", &usage(272_001, 0, 0, 0)), Some(MicroUsd(54_400)));
        // What is cached counts for the threshold and is priced at the tier's cached rate: 272_001 × 0.02 + 10 × 0.75.
        assert_eq!(price("openai", "gpt-6-luna", &usage(0, 10, 272_001, 0)), Some(MicroUsd(5448)));
    }

    #[test]
    fn an_unknown_price_is_unknown_and_nothing_is_known_to_be_nothing() {
        let some = usage(1_000_000, 1_000_000, 0, 0);
        assert_eq!(price("openai", "gpt-6.2-sol", &some), None);
        assert_eq!(price("openai-compatible", "gpt-6-luna", &some), None);
        assert_eq!(price("ollama", "some-cloud", &some), None);
        assert_eq!(price("ollama", "qwen4", &some), Some(MicroUsd(0)));
        assert_eq!(price("scripted", "script", &some), Some(MicroUsd(0)));
    }
}
