//! Who is played.

use std::sync::Arc;

use kit::vendor;
use serde_json::json;

use super::{
    subject::{KEY, Subject},
    suite::provider_suite,
};

provider_suite! {
    chat_completions => super::chat_completions;
    anthropic => super::anthropic;
    anthropic_by_its_older_version => super::anthropic_by_its_older_version;
    bedrock => super::bedrock;
    bedrock_with_a_key_pair => super::bedrock_with_a_key_pair;
    responses => super::responses;
    ollama => super::ollama;
}

/// Everybody.
pub(super) fn all() -> Vec<Subject> {
    vec![
        chat_completions(),
        anthropic(),
        anthropic_by_its_older_version(),
        bedrock(),
        bedrock_with_a_key_pair(),
        responses(),
        ollama(),
    ]
}

/// Any server that speaks chat completions.
fn chat_completions() -> Subject {
    Subject {
        dialect: Arc::new(vendor::OpenAiChat),
        config: |_| json!({ "provider": "openai-compatible", "model": "some-model" }),
        env: |url| vec![("OPENAI_BASE_URL", format!("{url}/v1")), ("OPENAI_API_KEY", KEY.to_owned())],
        nanodollars: None,
        pictures: true,
        forms: true,
    }
}

/// OpenAI by its Responses API, by way of a proxy.
fn responses() -> Subject {
    Subject {
        dialect: Arc::new(vendor::OpenAiResponses),
        config: |_| json!({ "provider": "openai", "model": "gpt-6-sol", "api": "responses" }),
        env: |url| vec![("OPENAI_BASE_URL", format!("{url}/v1")), ("OPENAI_API_KEY", KEY.to_owned())],
        nanodollars: Some([2000, 200, 2500, 2500, 10_000]),
        pictures: true,
        forms: true,
    }
}

fn ollama() -> Subject {
    Subject {
        dialect: Arc::new(vendor::Ollama),
        config: |_| json!({ "provider": "ollama", "model": "llama5" }),
        env: |url| vec![("OLLAMA_HOST", url.to_owned()), ("OLLAMA_API_KEY", KEY.to_owned())],
        nanodollars: Some([0; 5]),
        pictures: true,
        forms: true,
    }
}

pub(super) fn anthropic() -> Subject {
    Subject {
        dialect: Arc::new(vendor::Anthropic),
        config: |_| json!({ "provider": "anthropic", "model": "claude-sonnet-5-5", "cache": "1h" }),
        env: |url| vec![("ANTHROPIC_BASE_URL", url.to_owned()), ("ANTHROPIC_API_KEY", KEY.to_owned())],
        nanodollars: Some([2000, 100, 2500, 4000, 10_000]),
        pictures: true,
        forms: true,
    }
}

fn anthropic_by_its_older_version() -> Subject {
    let config: fn(&str) -> _ = |url| {
        json!({
            "provider": "anthropic", "model": "claude-haiku-4-5", "base_url": url, "cache": "off",
            "anthropic": { "version": "2023-06-01", "betas": ["some-beta-2026-01-01"] },
        })
    };
    Subject {
        config,
        env: |_| vec![("ANTHROPIC_API_KEY", KEY.to_owned())],
        nanodollars: Some([1000, 100, 1250, 2000, 5000]),
        ..anthropic()
    }
}

pub(super) fn bedrock() -> Subject {
    Subject {
        dialect: Arc::new(vendor::Bedrock),
        config: |_| json!({ "provider": "bedrock", "model": "us.anthropic.claude-haiku-4-5-20251001-v1:0" }),
        env: |url| {
            let named = [("AWS_BEARER_TOKEN_BEDROCK", KEY), ("AWS_REGION", "us-east-1")];
            let named = named.map(|(name, value)| (name, value.to_owned()));
            named.into_iter().chain([("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", url.to_owned())]).collect()
        },
        nanodollars: Some([1100, 110, 1375, 2200, 5500]),
        pictures: true,
        forms: true,
    }
}

/// A Llama, which takes neither pictures nor forms, and a temporary key pair.
fn bedrock_with_a_key_pair() -> Subject {
    Subject {
        config: |url| json!({ "provider": "bedrock", "model": "us.meta.llama4-scout-17b-instruct-v1:0", "base_url": url }),
        env: |_| {
            let named = [
                ("AWS_ACCESS_KEY_ID", "AKID-canary-of-a-key-id"),
                ("AWS_SECRET_ACCESS_KEY", "canary/of+a+secret"),
                ("AWS_SESSION_TOKEN", "canary-of-a-session"),
                ("AWS_DEFAULT_REGION", "eu-west-1"),
            ];
            named.map(|(name, value)| (name, value.to_owned())).to_vec()
        },
        nanodollars: Some([170, 170, 170, 170, 660]),
        pictures: false,
        forms: false,
        ..bedrock()
    }
}
