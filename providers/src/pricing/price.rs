//! What so many tokens cost.

use greenroom_config::spec::Price;
use greenroom_contract::{money::MicroUsd, port::llm::Usage};

use super::{
    rates::{Rates, per_token},
    table::find,
};

/// Parts of a factor, which is a whole number too.
const PERMILLE: u128 = 1000;

/// What `usage` costs at `provider`'s `model`; `None` when the price is not known, never zero in its place.
///
/// Cached tokens are priced as such; where a model has a long-context tier, the whole request is priced at that tier
/// once its input (cached or not) is longer than the tier's threshold. A stand-in and a local model cost nothing.
pub fn price(provider: &str, model: &str, usage: &Usage) -> Option<MicroUsd> {
    price_under(provider, model, usage, &[])
}

/// The same under terms that make everything dearer (`us`: processed there only; `fast`: the faster service). A term
/// that the model has no factor for makes the price unknown.
pub fn price_under(provider: &str, model: &str, usage: &Usage, terms: &[&str]) -> Option<MicroUsd> {
    let Some(entry) = find(provider, model) else {
        // Ollama's cloud models run on someone else's machine and are paid for.
        let free = provider == "scripted" || (provider == "ollama" && !is_cloud(model));
        return free.then_some(MicroUsd(0));
    };
    let rates = match &entry.long {
        Some(tier) if usage.all_input() > tier.above => &tier.rates,
        _ => &entry.rates,
    };
    let mut factor = PERMILLE;
    for term in terms {
        factor = factor * entry.factor(term)? / PERMILLE;
    }
    total(rates, usage, factor)
}

/// `gpt-oss:20b-cloud`, `kimi-k2:cloud`.
fn is_cloud(model: &str) -> bool {
    model.rsplit(['-', ':']).next() == Some("cloud")
}

/// What `usage` costs by the operator's own price.
pub fn price_by(own: &Price, usage: &Usage) -> Option<MicroUsd> {
    let rates = Rates {
        input: per_token(own.input),
        output: per_token(own.output),
        cache_read: own.cache_read.map(per_token),
        cache_write: own.cache_write.map(per_token),
        cache_write_1h: own.cache_write_1h.map(per_token),
    };
    total(&rates, usage, PERMILLE)
}

/// Reasoning tokens are part of the output already. Half a microdollar is rounded up.
fn total(rates: &Rates, usage: &Usage, factor: u128) -> Option<MicroUsd> {
    let hour = match (usage.cache_write_1h, rates.cache_write_1h, rates.cache_write) {
        (0, ..) => 0,
        (_, Some(rate), _) => rate,
        (_, None, Some(_)) => return None,
        (_, None, None) => rates.input,
    };
    let picodollars: u128 = [
        (usage.input, rates.input),
        (usage.output, rates.output),
        (usage.cache_read, rates.cache_read.unwrap_or(rates.input)),
        (usage.cache_write, rates.cache_write.unwrap_or(rates.input)),
        (usage.cache_write_1h, hour),
    ]
    .into_iter()
    .map(|(tokens, rate)| u128::from(tokens) * u128::from(rate))
    .sum();
    let micro = (picodollars * factor / PERMILLE + 500_000) / 1_000_000;
    i64::try_from(micro).ok().map(MicroUsd)
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
        // claude-sonnet-5-5 writes for an hour at 4: 250 × 4 = 1000 µ$.
        let hour = Usage { cache_write_1h: 250, ..Usage::default() };
        assert_eq!(price("anthropic", "claude-sonnet-5-5", &hour), Some(MicroUsd(1000)));
    }

    #[test]
    fn a_long_context_costs_its_tier_for_the_whole_request() {
        // gpt-6-luna up to 272 000: 272_000 × 0.1 = 27 200 µ$; one more token and all of it costs 0.2.
        assert_eq!(price("openai", "gpt-6-luna", &usage(272_000, 0, 0, 0)), Some(MicroUsd(27_200)));
        assert_eq!(price("openai", "gpt-6-luna", &usage(272_001, 0, 0, 0)), Some(MicroUsd(54_400)));
        // What is cached counts for the threshold and is priced at the tier's cached rate: 272_001 × 0.02 + 10 × 0.75.
        assert_eq!(price("openai", "gpt-6-luna", &usage(0, 10, 272_001, 0)), Some(MicroUsd(5448)));
        // What an hour costs above the threshold is nowhere written, so nobody knows.
        let long = Usage { input: 100_000, cache_write_1h: 1, ..Usage::default() };
        assert_eq!(price("anthropic", "claude-haiku-5-5", &long), None);
    }

    #[test]
    fn terms_make_it_dearer() {
        let some = usage(1000, 100, 0, 0);
        // claude-opus-5-5: 1000 × 4 + 100 × 20 = 6000 µ$.
        assert_eq!(price_under("anthropic", "claude-opus-5-5", &some, &["us"]), Some(MicroUsd(6600)));
        assert_eq!(price_under("anthropic", "claude-opus-5-5", &some, &["us", "fast"]), Some(MicroUsd(13_200)));
        assert_eq!(price_under("anthropic", "claude-sonnet-5-5", &some, &["fast"]), None);
    }

    /// A budget can be kept with every model that is listed, below its long tier and above it.
    #[test]
    fn the_most_that_a_call_can_cost_is_known_of_every_model() {
        for model in &crate::pricing::price_list().models {
            for input in [1000, 1_000_000] {
                let most = Usage::dearest(input, 1000, false, |usage| price(&model.provider, &model.model, usage));
                assert!(most.is_some(), "{}/{}", model.provider, model.model);
            }
        }
    }

    #[test]
    fn an_unknown_price_is_unknown_and_nothing_is_known_to_be_nothing() {
        let some = usage(1_000_000, 1_000_000, 0, 0);
        assert_eq!(price("openai", "gpt-6.2-sol", &some), None);
        assert_eq!(price("openai-compatible", "gpt-6-luna", &some), None);
        assert_eq!(price("ollama", "some-cloud", &some), None);
        assert_eq!(price("ollama", "some:cloud", &some), None);
        assert_eq!(price("ollama", "qwen4", &some), Some(MicroUsd(0)));
        assert_eq!(price("scripted", "script", &some), Some(MicroUsd(0)));
    }

    #[test]
    fn the_operators_price_is_the_price() {
        let own = Price { input: 0.4, output: 1.25, cache_read: Some(0.05), cache_write: None, cache_write_1h: None };
        // 1000 × 0.4 + 200 × 1.25 + 400 × 0.05 + 10 × 0.4 = 674 µ$.
        assert_eq!(price_by(&own, &usage(1000, 200, 400, 10)), Some(MicroUsd(674)));
    }
}
