//! The provider.

use std::sync::Arc;

use greenroom_config::spec::OllamaOptions;
use greenroom_contract::{
    BoxFuture, BoxStream,
    money::MicroUsd,
    port::llm::{Chunk, Error, Llm, Request, Response, Usage},
};
use reqwest::{Client, Url, header::HeaderValue};

use super::{ask::ask, is_cloud};
use crate::{
    llm::{
        estimate,
        generator::{Emitter, generate},
        limits::Account,
        modest::modest,
    },
    pricing::{self, Capabilities},
};

pub(super) const PROVIDER: &str = "ollama";

/// A server, a model, and perhaps our key. Has no `Debug`, because of the key.
pub(crate) struct Options {
    /// The address under which `/api` lies.
    pub(crate) base: Url,
    /// `Bearer …`, marked sensitive; only the cloud needs one.
    pub(crate) authorization: Option<HeaderValue>,
    /// The name of the variable that holds the key, for messages.
    pub(crate) key_name: String,
    /// The name of the model, with or without its tag.
    pub(crate) model: String,
    /// What only Ollama has.
    pub(crate) own: Option<OllamaOptions>,
    /// What the model takes.
    pub(crate) capabilities: Capabilities,
    /// The key's limits.
    pub(crate) account: Arc<Account>,
}

impl Options {
    /// The address of one of its endpoints.
    pub(super) fn url(&self, path: &str) -> Url {
        url(&self.base, path)
    }
}

/// The address of one of a server's endpoints.
pub(super) fn url(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/api/{path}", base.path().trim_end_matches('/')));
    url
}

/// A model behind Ollama. It makes each call once: retries are the business of the layer above.
pub(crate) struct Ollama {
    http: Client,
    options: Options,
}

impl Ollama {
    /// A model at a server.
    pub(crate) fn new(http: Client, options: Options) -> Self {
        Self { http, options }
    }

    async fn ask(&self, request: Request, out: &Emitter) -> Result<Response, Error> {
        let request = modest(request, &self.options.capabilities);
        let said = ask(&self.http, &self.options, &request, out).await?;
        Ok(Response {
            parts: said.parts,
            stop: said.stop,
            usage: said.usage,
            model: said.model.unwrap_or_else(|| self.options.model.clone()),
            provider: PROVIDER.to_owned(),
            cost: self.cost(&said.usage),
        })
    }
}

impl Llm for Ollama {
    fn provider(&self) -> &str {
        PROVIDER
    }

    fn model(&self) -> &str {
        &self.options.model
    }

    fn stream(&self, request: Request) -> BoxStream<'_, Result<Chunk, Error>> {
        generate(|out| async move { self.ask(request, &out).await })
    }

    fn context_window(&self) -> Option<u64> {
        self.options.own.and_then(|own| own.num_ctx).map(u64::from).or(self.options.capabilities.context_window)
    }

    /// Ollama has no endpoint that counts, and every model its own vocabulary.
    fn count_tokens(&self, request: &Request) -> BoxFuture<'_, Result<Usage, Error>> {
        let usage = estimate::input(request);
        Box::pin(async move { Ok(usage) })
    }

    /// A model on one's own machine costs nothing; what the cloud asks for is not known.
    fn cost(&self, usage: &Usage) -> Option<MicroUsd> {
        if is_cloud(&self.options.base) {
            return None;
        }
        pricing::price(PROVIDER, &self.options.model, usage)
    }
}
