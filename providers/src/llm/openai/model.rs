//! The provider.

use greenroom_contract::{
    BoxFuture, BoxStream,
    money::MicroUsd,
    port::llm::{Chunk, Error, Llm, Request, Response, Usage},
};
use reqwest::Client;

use super::{Options, call::Call, request::body};
use crate::{
    llm::{
        estimate,
        generator::{Emitter, generate},
    },
    pricing,
};

/// A model behind chat completions. It makes each call once: retries are the business of the layer above.
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
        let json = body(&self.options, &request)?;
        let call = Call { http: &self.http, options: &self.options, silence: request.silence };
        let answer = call.ask(&request, &json, out).await?;
        let (counted, model) = (answer.counted, answer.model.clone());
        let (parts, stop) = answer.finish(self.provider(), &request.idempotency_key)?;
        let usage = counted.usage(estimate::input(&request).input, estimate::output(&parts));
        Ok(Response {
            parts,
            stop,
            usage,
            model: model.unwrap_or_else(|| self.options.model.clone()),
            provider: self.provider().to_owned(),
            cost: self.cost(&usage),
        })
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

    fn count_tokens(&self, request: &Request) -> BoxFuture<'_, Result<Usage, Error>> {
        let usage = estimate::input(request);
        Box::pin(async move { Ok(usage) })
    }

    fn cost(&self, usage: &Usage) -> Option<MicroUsd> {
        pricing::price(self.provider(), &self.options.model, usage)
    }
}
