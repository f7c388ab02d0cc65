//! What answers cost, against a table that was worked out by hand of the price data's source and not by this code:
//! `dollars.csv`, exact decimal arithmetic over litellm 1.109.1, in millionths of a dollar.

use futures::future::join_all;
use greenroom_contract::{money::MicroUsd, port::llm::Usage};
use greenroom_providers::pricing;
use kit::vendor::{Exchange, Fault, Refusal, Tokens, When};
use serde_json::{Value, json};

use super::{
    subject::{Subject, question},
    subjects,
};

/// One line of the table.
struct Line {
    provider: String,
    model: String,
    tokens: Tokens,
    cost: Option<MicroUsd>,
}

fn table() -> Vec<Line> {
    let lines = include_str!("dollars.csv").lines().skip(1).map(|line| {
        let mut fields = line.split(',').map(str::to_owned);
        let mut next = || fields.next().unwrap_or_else(|| panic!("a field is missing: {line}"));
        let (provider, model) = (next(), next());
        let mut number = || next().parse::<u64>().unwrap_or_else(|error| panic!("{line}: {error}"));
        let (input, cache_read, cache_write, cache_write_1h) = (number(), number(), number(), number());
        let tokens = Tokens { input, cache_read, cache_write, cache_write_1h, output: number(), reasoning: 0 };
        Line { provider, model, tokens, cost: next().parse().ok().map(MicroUsd) }
    });
    lines.collect()
}

fn usage(tokens: Tokens) -> Usage {
    let Tokens { input, cache_read, cache_write, cache_write_1h, output, reasoning } = tokens;
    Usage { input, output, cache_read, cache_write, cache_write_1h, reasoning, estimated: false }
}

#[test]
fn every_listed_model_costs_what_its_price_says() {
    let table = table();
    let wrong: Vec<String> = table
        .iter()
        .filter_map(|line| {
            let cost = pricing::price(&line.provider, &line.model, &usage(line.tokens));
            (cost != line.cost).then(|| format!("{} {:?}: {cost:?}, not {:?}", line.model, line.tokens, line.cost))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let models: std::collections::BTreeSet<_> = table.iter().map(|line| (&line.provider, &line.model)).collect();
    assert_eq!(models.len(), 31, "the table has every model of the price data");
}

/// In a stream, and in a stream that came after a refusal: a refusal costs nothing.
#[tokio::test]
async fn an_answer_costs_what_the_table_says() {
    let wire = table().into_iter().filter_map(|line| Some((at(&line.provider)?, line)));
    join_all(wire.map(async |((subject, config), line)| {
        let stage = subject.stage_at(|url| config(&line.model, url)).await;
        let said = Exchange::text(&["so much ", "for that"]).tokens(line.tokens);
        stage.vendor.then(Exchange::refusal(Refusal::RateLimited)).then(said);
        let answer = stage.answer(question("hi")).await;
        assert_eq!((answer.usage, answer.cost), (usage(line.tokens), line.cost), "{} {:?}", line.model, line.tokens);
        assert_eq!(stage.vendor.attempts(), 2);
    }))
    .await;
}

/// Cut between the model's end and the count. Anthropic counts before it, so that nothing is missing; where the count
/// comes last, it is estimated, and said to be.
#[tokio::test]
async fn an_answer_whose_count_was_cut_off_is_estimated_and_says_so() {
    let tokens = Tokens { input: 1000, output: 200, ..Tokens::default() };
    let cut = || Exchange::text(&["so much ", "for that"]).tokens(tokens).fault(Fault::Cut(When::BeforeCount));
    let answer = async |provider, model| {
        let Some((subject, config)) = at(provider) else { panic!("{provider} is not played") };
        let stage = subject.stage_at(|url| config(model, url)).await;
        stage.vendor.then(cut());
        stage.answer(question("hi")).await
    };
    let counted = answer("anthropic", "claude-haiku-4-5").await;
    assert_eq!((counted.usage, counted.cost), (usage(tokens), Some(MicroUsd(2000))));
    let estimated = answer("bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0").await;
    assert_eq!((estimated.text().as_str(), estimated.usage.estimated), ("so much for that", true));
    let Usage { input, output, .. } = estimated.usage;
    assert!(input > 0 && output > 0, "{:?}", estimated.usage);
    // 1.1 and 5.5 dollars per million.
    let nanodollars = 1100 * input + 5500 * output;
    assert_eq!(estimated.cost, Some(MicroUsd(((nanodollars + 500) / 1000).cast_signed())));
}

type Config = fn(&str, &str) -> Value;

/// The subject for a provider's models, where they can be played.
fn at(provider: &str) -> Option<(Subject, Config)> {
    match provider {
        "anthropic" => Some((
            subjects::anthropic(),
            |model, url| json!({ "provider": "anthropic", "model": model, "base_url": url }),
        )),
        "bedrock" => {
            Some((subjects::bedrock(), |model, url| json!({ "provider": "bedrock", "model": model, "base_url": url })))
        }
        _ => None,
    }
}
