//! Which provider an agent gets, by its configuration and the environment.

use std::sync::Arc;

use axum::{Json, Router, http::HeaderMap, routing::get};
use greenroom_config::{Environment, spec::LlmConfig};
use greenroom_contract::{port::llm::Llm, task};
use serde_json::json;

use super::Providers;
use crate::{Unusable, llm::testing::request};

fn config(json: serde_json::Value) -> LlmConfig {
    serde_json::from_value(json).unwrap()
}

async fn build(json: serde_json::Value, env: &[(&str, &str)]) -> Result<Arc<dyn Llm>, Unusable> {
    rustls::crypto::ring::default_provider().install_default().ok();
    // No Ollama of this machine has a say, unless the test names one: later entries win.
    let nowhere = ("OLLAMA_HOST", "127.0.0.1:9");
    let env = Environment::from_pairs(std::iter::once(nowhere).chain(env.iter().copied()));
    Providers::new(&env, crate::http_client().unwrap()).build(&config(json)).await
}

async fn named(json: serde_json::Value, env: &[(&str, &str)]) -> (String, String) {
    let llm = build(json, env).await.unwrap();
    (llm.provider().to_owned(), llm.model().to_owned())
}

fn pair(provider: &str, model: &str) -> (String, String) {
    (provider.to_owned(), model.to_owned())
}

/// A server with two models, which wants this key or none.
async fn model_server(key: Option<&'static str>) -> (String, task::Scoped) {
    let list = async move |headers: HeaderMap| {
        let sent = headers.get("authorization").and_then(|value| value.to_str().ok());
        assert_eq!(sent, key, "the wrong key was sent");
        Json(json!({ "data": [{ "id": "text-embed-3" }, { "id": "llama-5" }, { "id": "qwen-4" }] }))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/models", get(list));
    (base, task::spawn_scoped("fake-models", async move { axum::serve(listener, router).await.unwrap() }))
}

#[tokio::test]
async fn auto_takes_what_is_there() {
    let auto = || json!({ "provider": "auto" });
    assert_eq!(named(auto(), &[]).await, pair("scripted", "script"));
    assert_eq!(named(auto(), &[("ANTHROPIC_API_KEY", "sk-a")]).await, pair("anthropic", "claude-haiku-5-5"));
    let keys = [("OPENAI_API_KEY", "sk-o"), ("ANTHROPIC_API_KEY", "sk-a")];
    assert_eq!(named(auto(), &keys).await, pair("anthropic", "claude-haiku-5-5"));
    assert_eq!(named(auto(), &[("OPENAI_API_KEY", "sk-o")]).await, pair("openai", "gpt-6-luna"));
    let aws = [("AWS_BEARER_TOKEN_BEDROCK", "b"), ("AWS_REGION", "us-east-1")];
    assert_eq!(named(auto(), &aws).await, pair("bedrock", "anthropic.claude-haiku-5-5"));
    assert_eq!(named(auto(), &aws[..1]).await, pair("scripted", "script"), "without a region it has no address");
    let (base, _task) = model_server(None).await;
    assert_eq!(named(auto(), &[("OPENAI_BASE_URL", &base)]).await, pair("openai-compatible", "llama-5"));
    let (base, _task) = model_server(Some("Bearer sk-o")).await;
    let both = [("OPENAI_BASE_URL", base.as_str()), ("OPENAI_API_KEY", "sk-o")];
    assert_eq!(named(auto(), &both).await, pair("openai-compatible", "llama-5"));
    let chosen = json!({ "provider": "auto", "model": "mine" });
    assert_eq!(named(chosen, &both).await, pair("openai-compatible", "mine"));
    // A server that is down gets the default's name; its calls then say that it is down.
    let down = named(auto(), &[("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")]).await;
    assert_eq!(down, pair("openai-compatible", "gpt-6-luna"));
}

#[tokio::test]
async fn openais_key_goes_only_where_it_belongs() {
    let (base, _task) = model_server(None).await;
    let elsewhere = json!({ "provider": "auto", "base_url": base });
    assert_eq!(named(elsewhere, &[("OPENAI_API_KEY", "sk-o")]).await, pair("openai-compatible", "llama-5"));
    let (base, _task) = model_server(Some("Bearer sk-theirs")).await;
    let own_key = json!({ "provider": "auto", "base_url": base, "api_key_env": "THEIR_KEY" });
    let env = [("OPENAI_API_KEY", "sk-o"), ("THEIR_KEY", "sk-theirs")];
    assert_eq!(named(own_key, &env).await, pair("openai-compatible", "llama-5"));
}

#[tokio::test]
async fn what_cannot_be_used_says_why_and_what_to_do() {
    for (config, env, reason) in [
        (json!({ "provider": "openai", "model": "gpt-6-luna" }), vec![], "OPENAI_API_KEY is not set"),
        (json!({ "provider": "openai", "model": "m", "api_key_env": "MY_KEY" }), vec![], "MY_KEY is not set"),
        (json!({ "provider": "openai" }), vec![("OPENAI_API_KEY", "sk-o")], "needs a model"),
        (json!({ "provider": "openai-compatible", "model": "m" }), vec![], "server's address"),
        (json!({ "provider": "openai-compatible", "model": "m", "base_url": "nonsense" }), vec![], "malformed"),
        (json!({ "provider": "anthropic", "model": "m" }), vec![], "ANTHROPIC_API_KEY is not set"),
        (
            json!({ "provider": "bedrock", "model": "m" }),
            vec![("AWS_BEARER_TOKEN_BEDROCK", "canary")],
            "AWS_REGION is not set",
        ),
        (
            json!({ "provider": "bedrock", "model": "m" }),
            vec![("AWS_ACCESS_KEY_ID", "canary"), ("AWS_REGION", "us-east-1")],
            "AWS_SECRET_ACCESS_KEY is not set",
        ),
        (json!({ "provider": "ollama" }), vec![], "needs a model"),
        (json!({ "provider": "ollama", "model": "m" }), vec![("OLLAMA_HOST", "ftp://x")], "Ollama's address"),
        (
            json!({ "provider": "ollama", "model": "m" }),
            vec![("OLLAMA_HOST", "ollama.com")],
            "OLLAMA_API_KEY is not set",
        ),
        (
            json!({ "provider": "scripted", "output": { "schema": { "type": "object", "$ref": "http://127.0.0.1:9/x" } } }),
            vec![],
            "no usable JSON Schema",
        ),
        (
            json!({ "provider": "openai", "model": "m" }),
            vec![("OPENAI_API_KEY", "sk-can\u{7}ary")],
            "no header can carry",
        ),
    ] {
        let Err(unusable) = build(config.clone(), &env).await else { panic!("{config} was built") };
        assert!(unusable.reason.contains(reason) && !unusable.remedy.is_empty(), "{unusable}");
        assert!(!format!("{unusable:?}").contains("ary"), "{unusable}");
    }
}

#[tokio::test]
async fn a_chain_leaves_out_what_cannot_be_used() {
    let chain = json!({
        "provider": "openai", "model": "gpt-6-luna",
        "fallback": [{ "provider": "anthropic", "model": "m" }, { "provider": "scripted" }],
        "script": [{ "reply": "from the script" }]
    });
    let llm = build(chain.clone(), &[]).await.unwrap();
    assert_eq!(llm.complete(request("hi")).await.unwrap().text(), "from the script");
    assert_eq!(named(chain, &[("OPENAI_API_KEY", "sk-o")]).await, pair("openai", "gpt-6-luna"));
    let none = json!({ "provider": "openai", "model": "m", "fallback": [{ "provider": "bedrock", "model": "m" }] });
    // Half a key pair, so that AWS's own chain is not asked, which would look round on this machine.
    let unusable = build(none, &[("AWS_ACCESS_KEY_ID", "half")]).await.err().unwrap();
    assert!(unusable.reason.contains("OPENAI_API_KEY"), "the first one's reason: {unusable}");
}

/// An Ollama with one model.
async fn ollama() -> (String, task::Scoped) {
    let version = async || Json(json!({ "version": "0.35.1" }));
    let tags = async || Json(json!({ "models": [{ "name": "nomic-embed:latest" }, { "name": "llama5:latest" }] }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let router = Router::new().route("/api/version", get(version)).route("/api/tags", get(tags));
    (host, task::spawn_scoped("fake-ollama", async move { axum::serve(listener, router).await.unwrap() }))
}

#[tokio::test]
async fn ollama_is_asked_what_it_has() {
    let (host, _task) = ollama().await;
    let env = [("OLLAMA_HOST", host.as_str())];
    assert_eq!(named(json!({ "provider": "auto" }), &env).await, pair("ollama", "llama5:latest"));
    let wanted = |model: &str| json!({ "provider": "ollama", "model": model });
    assert_eq!(named(wanted("llama5"), &env).await, pair("ollama", "llama5"));
    let missing = build(wanted("llama6"), &env).await.err().unwrap();
    assert!(missing.reason.contains("no model \"llama6\"") && missing.remedy.contains("ollama pull"), "{missing}");
    // One that is not there now may be there later.
    assert_eq!(named(wanted("llama5"), &[]).await, pair("ollama", "llama5"));
}
