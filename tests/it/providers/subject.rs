//! A provider, and the server that it is played against.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use greenroom_config::Environment;
use greenroom_contract::{
    execution::Effect,
    money::MicroUsd,
    port::{
        llm::{Chunk, Error, Llm, Message, Request, Response, Role, Usage},
        tool::ToolSpec,
    },
};
use greenroom_providers::Providers;
use kit::vendor::{Dialect, Tokens, Vendor};
use serde_json::{Value, json};

/// A canary: the key that every provider gets, and that nothing may show.
pub(super) const KEY: &str = "sk-canary-of-a-provider";

/// A provider to be played.
pub(super) struct Subject {
    /// What its server speaks.
    pub(super) dialect: Arc<dyn Dialect>,
    /// Its `llm_config`, for a server at this address.
    pub(super) config: fn(&str) -> Value,
    /// Its environment, for a server at this address.
    pub(super) env: fn(&str) -> Vec<(&'static str, String)>,
    /// What its model's tokens cost, each, in billionths of a dollar: input, cache read, cache write, cache write for an
    /// hour, output. `None`: unknown.
    pub(super) nanodollars: Option<[u64; 5]>,
    /// Whether its model takes pictures.
    pub(super) pictures: bool,
    /// Whether it is asked for a form by the vendor's own means.
    pub(super) forms: bool,
}

/// A server and the provider that asks it.
pub(super) struct Stage {
    pub(super) vendor: Vendor,
    pub(super) llm: Arc<dyn Llm>,
}

impl Subject {
    /// A server that has nothing to say yet, and the provider.
    pub(super) async fn stage(&self) -> Stage {
        self.stage_at(self.config).await
    }

    /// The same with another `llm_config`.
    pub(super) async fn stage_at(&self, config: impl Fn(&str) -> Value) -> Stage {
        rustls::crypto::ring::default_provider().install_default().ok();
        let vendor = Vendor::start(Arc::clone(&self.dialect)).await;
        let env = (self.env)(&vendor.url());
        let env = Environment::from_pairs(env.iter().map(|(name, value)| (*name, value.as_str())));
        let config = serde_json::from_value(config(&vendor.url())).unwrap_or_else(|error| panic!("{error}"));
        let http = greenroom_providers::http_client().unwrap_or_else(|error| panic!("{error}"));
        let llm = Providers::new(&env, http).build(&config).await.unwrap_or_else(|error| panic!("{error}"));
        Stage { vendor, llm }
    }

    /// What these tokens are to the port.
    pub(super) fn usage(&self, tokens: Tokens) -> Usage {
        let Tokens { input, cache_read, cache_write, cache_write_1h, output, reasoning } = self.dialect.tells(tokens);
        Usage { input, output, cache_read, cache_write, cache_write_1h, reasoning, estimated: false }
    }

    /// What these tokens cost, worked out in whole numbers.
    pub(super) fn cost(&self, tokens: Tokens) -> Option<MicroUsd> {
        let [input, cache_read, cache_write, cache_write_1h, output] = self.nanodollars?;
        let told = self.dialect.tells(tokens);
        let nano = told.input * input
            + told.cache_read * cache_read
            + told.cache_write * cache_write
            + told.cache_write_1h * cache_write_1h
            + told.output * output;
        Some(MicroUsd(((nano + 500) / 1000).cast_signed()))
    }
}

impl Stage {
    /// Asks for a whole answer.
    pub(super) async fn ask(&self, request: Request) -> Result<Response, Error> {
        self.llm.complete(request).await
    }

    /// Asks, and expects an answer.
    pub(super) async fn answer(&self, request: Request) -> Response {
        self.ask(request).await.unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// Asks, and expects an error that shows no secret.
    pub(super) async fn error(&self, request: Request) -> Error {
        match self.ask(request).await {
            Ok(response) => panic!("an answer instead of an error: {response:?}"),
            Err(error) => {
                let shown = format!("{error} {error:?}");
                assert!(!shown.contains("canary"), "an error tells a key: {shown}");
                error
            }
        }
    }

    /// Asks, and returns every chunk.
    pub(super) async fn chunks(&self, request: Request) -> Vec<Result<Chunk, Error>> {
        self.llm.stream(request).collect().await
    }
}

/// A question. The limit of silence is far beyond what a busy machine needs.
pub(super) fn question(text: &str) -> Request {
    Request {
        system: Some("You answer.".to_owned()),
        messages: vec![Message::text(Role::User, text)],
        tools: Vec::new(),
        max_tokens: 500,
        temperature: None,
        effort: None,
        output: None,
        idempotency_key: "key-1".to_owned(),
        silence: Duration::from_secs(20),
    }
}

/// The same with two tools.
pub(super) fn with_tools(mut request: Request) -> Request {
    for name in ["look", "fetch"] {
        request.tools.push(ToolSpec {
            name: name.to_owned(),
            description: "It does what it says.".to_owned(),
            input_schema: json!({ "type": "object", "properties": { "at": { "type": "string" } } }),
            effect: Effect::None,
        });
    }
    request
}
