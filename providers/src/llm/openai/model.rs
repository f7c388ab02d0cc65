//! The provider.

use greenroom_contract::{
    BoxFuture, BoxStream,
    money::MicroUsd,
    port::llm::{Chunk, Error, Llm, Part, Request, Response, Stop, Usage},
};
use reqwest::Client;

use super::{Api, Dialect, Options, chat, door::Door, responses};
use crate::{
    llm::{
        estimate,
        generator::{Emitter, generate},
        modest::modest,
    },
    pricing,
};

/// What a server said, whichever way it was asked.
pub(super) struct Said {
    pub(super) parts: Vec<Part>,
    pub(super) stop: Stop,
    pub(super) usage: Usage,
    /// The model, as the server names it.
    pub(super) model: Option<String>,
}

/// A model at a server. It makes each call once: retries are the business of the layer above.
pub(crate) struct OpenAi {
    http: Client,
    options: Options,
}

impl OpenAi {
    /// A model at a server.
    pub(crate) fn new(http: Client, options: Options) -> Self {
        Self { http, options }
    }

    async fn ask(&self, request: Request, out: &Emitter) -> Result<Response, Error> {
        let request = modest(request, &self.options.capabilities);
        let door = Door::new(&self.http, &self.options, &request);
        let Said { parts, stop, usage, model } = match self.options.api {
            Api::Chat => chat::ask(&door, &request, out).await?,
            Api::Responses => responses::ask(&door, &request, out).await?,
        };
        Ok(Response {
            parts,
            stop,
            usage,
            model: model.unwrap_or_else(|| self.options.model.clone()),
            provider: self.provider().to_owned(),
            cost: self.cost(&usage),
        })
    }

    async fn count(&self, request: &Request) -> Result<Usage, Error> {
        if self.options.dialect != Dialect::OpenAi {
            // Its tokens are not OpenAI's, and its server has no endpoint to count them.
            return Ok(estimate::input(request));
        }
        let door = Door::new(&self.http, &self.options, request);
        match responses::count(&door, request).await {
            Ok(input) => Ok(Usage { input, ..Usage::default() }),
            Err(error) => {
                tracing::debug!(%error, llm.model = self.options.model, "OpenAI did not count the tokens; they are estimated.");
                Ok(estimate::input_by_vocabulary(request).await)
            }
        }
    }
}

impl Llm for OpenAi {
    fn provider(&self) -> &str {
        self.options.dialect.provider()
    }

    fn model(&self) -> &str {
        &self.options.model
    }

    fn stream(&self, request: Request) -> BoxStream<'_, Result<Chunk, Error>> {
        generate(|out| async move { self.ask(request, &out).await })
    }

    fn context_window(&self) -> Option<u64> {
        self.options.capabilities.context_window
    }

    fn count_tokens(&self, request: &Request) -> BoxFuture<'_, Result<Usage, Error>> {
        let request = modest(request.clone(), &self.options.capabilities);
        Box::pin(async move { self.count(&request).await })
    }

    fn cost(&self, usage: &Usage) -> Option<MicroUsd> {
        pricing::price(self.provider(), &self.options.model, usage)
    }
}
