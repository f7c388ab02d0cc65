//! What only one vendor has: its headers, its way to count, its addresses.

use std::sync::Arc;

use greenroom_contract::port::llm::{Request, Usage};
use kit::vendor::{self, Block, Exchange, Refusal};
use serde_json::{Value, json};

use super::{
    subject::{KEY, Stage, Subject, question, with_tools},
    subjects,
};

async fn anthropic(config: Value) -> Stage {
    let config = move |url: &str| {
        let mut config = config.clone();
        (config["provider"], config["base_url"]) = ("anthropic".into(), url.into());
        config
    };
    subjects::anthropic().stage_at(config).await
}

#[tokio::test]
async fn anthropics_versions_have_headers_of_their_own() {
    let newer = anthropic(json!({ "model": "claude-opus-5-5" })).await;
    let older = json!({ "version": "2023-06-01", "betas": ["one-2026-01-01", "two-2026-02-02"] });
    let older = anthropic(json!({ "model": "claude-opus-5-5", "anthropic": older })).await;
    for stage in [&newer, &older] {
        stage.vendor.always(Exchange::text(&["yes"]));
        stage.answer(question("hi")).await;
    }
    let (newer, older) = (&newer.vendor.asked()[0], &older.vendor.asked()[0]);
    let bearer = format!("Bearer {KEY}");
    assert_eq!(newer.header("authorization"), Some(bearer.as_str()));
    assert_eq!((newer.header("anthropic-version"), newer.header("x-api-key")), (Some("2026-10-21"), None));
    assert_eq!(newer.header("anthropic-beta"), None);
    assert_eq!((older.header("x-api-key"), older.header("authorization")), (Some(KEY), None));
    assert_eq!(older.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(older.header("anthropic-beta"), Some("one-2026-01-01,two-2026-02-02"));
    // A repetition is recognised by its key.
    assert_eq!(newer.header("idempotency-key"), Some("key-1"));
}

#[tokio::test]
async fn a_repetition_has_the_key_and_the_body_of_the_first() {
    let stage = anthropic(json!({ "model": "claude-opus-5-5" })).await;
    stage.vendor.then(Exchange::refusal(Refusal::Overloaded)).then(Exchange::text(&["yes"]));
    stage.answer(with_tools(question("hi"))).await;
    let [first, second] = &stage.vendor.asked()[..] else { panic!("it was not asked twice") };
    assert_eq!(first.header("idempotency-key"), second.header("idempotency-key"));
    assert_eq!(first.body, second.body);
}

/// Both vendors count; the count has the same system prompt, tools and turns as the question.
#[tokio::test]
async fn tokens_are_counted_by_the_vendor() {
    for (subject, body) in [(subjects::anthropic(), ""), (subjects::bedrock(), "/input/converse")] {
        let stage = subject.stage().await;
        stage.vendor.counts(4321).always(Exchange::text(&["yes"]));
        let request = with_tools(question("How long is this?"));
        let counted = count(&stage, &request).await;
        assert_eq!(counted, Usage { input: 4321, ..Usage::default() });
        assert_eq!(stage.vendor.attempts(), 0, "counting is no question");
        let asides = stage.vendor.asides();
        stage.answer(request).await;
        let (aside, asked) = (asides[0].body.pointer(body), &stage.vendor.asked()[0].body);
        let aside = aside.unwrap_or_else(|| panic!("the count has no {body}: {}", asides[0].body));
        for part in ["system", "tools", "toolConfig", "messages"] {
            assert_eq!(aside.get(part), asked.get(part), "{part}");
        }
    }
}

/// A gateway, or a model that Bedrock does not count for.
#[tokio::test]
async fn who_does_not_count_is_answered_for_by_an_estimate() {
    // These dialects know nothing of the other's path for counts.
    let swapped = [
        Subject { dialect: Arc::new(vendor::Bedrock), ..subjects::anthropic() },
        Subject { dialect: Arc::new(vendor::Anthropic), ..subjects::bedrock() },
    ];
    for subject in swapped {
        let stage = subject.stage().await;
        let counted = count(&stage, &question("How long is this?")).await;
        assert!(counted.estimated && counted.input > 0, "{counted:?}");
    }
}

async fn count(stage: &Stage, request: &Request) -> Usage {
    stage.llm.count_tokens(request).await.unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test]
async fn bedrock_is_asked_under_its_names_and_signed_for_its_region() {
    let arn = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-5-5";
    let subject = Subject {
        env: |_| {
            let named =
                [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_REGION", "eu-west-1")];
            named.map(|(name, value)| (name, value.to_owned())).to_vec()
        },
        ..subjects::bedrock()
    };
    let stage = subject.stage_at(|url| json!({ "provider": "bedrock", "model": arn, "base_url": url })).await;
    stage.vendor.always(Exchange::of([Block::Text(vec!["yes".to_owned()])]));
    stage.answer(question("hi")).await;
    let asked = &stage.vendor.asked()[0];
    let name = arn.replace(':', "%3A").replace('/', "%2F");
    assert_eq!(asked.path, format!("/model/{name}/converse-stream"));
    let signature = asked.header("authorization").unwrap_or_default();
    assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{signature}");
    assert!(signature.contains("/eu-west-1/bedrock/aws4_request"), "{signature}");
    let length = asked.header("content-length").and_then(|length| length.parse::<usize>().ok());
    assert_eq!(length, Some(asked.body.to_string().len()), "the length is that of our own body");
}
