//! The provider.

use std::sync::Arc;

use greenroom_config::spec::PromptCache;
use greenroom_contract::{
    BoxFuture, BoxStream,
    money::MicroUsd,
    port::llm::{Chunk, Error, Llm, Request, Response, Usage},
};
use reqwest::Client;

use super::{Options, call::Call};
use crate::{
    llm::{
        estimate,
        generator::{Emitter, generate},
        http,
        limits::{Account, Whose},
    },
    pricing,
};

/// The name in the registry, which also marks the blocks that go back unchanged.
pub(super) const PROVIDER: &str = "anthropic";

/// A model at Anthropic, or at a gateway that speaks like it. It makes each call once: retries are the business of the
/// layer above.
pub(crate) struct Anthropic {
    http: Client,
    options: Options,
    account: Arc<Account>,
}

impl Anthropic {
    /// A model at a server.
    pub(super) fn new(http: Client, options: Options) -> Self {
        Self { http, options, account: Arc::default() }
    }

    /// Whose limits its calls count under.
    pub(crate) fn whose(&self) -> Whose {
        let key_name = self.options.credentials.as_ref().map(|_| self.options.key_name.clone()).unwrap_or_default();
        Whose { provider: PROVIDER.to_owned(), server: http::place(&self.options.base), key_name }
    }

    /// The same, which takes up what the server tells of its limits.
    pub(crate) fn heard_by(self, account: Arc<Account>) -> Self {
        Self { account, ..self }
    }

    async fn ask(&self, request: Request, out: &Emitter) -> Result<Response, Error> {
        let answer = Call::new(&self.http, &self.options, &self.account, &request).ask(&request, out).await?;
        let (counted, model, whole) = (answer.counted, answer.model.clone(), answer.finished());
        let (parts, stop) = answer.finish(PROVIDER)?;
        let usage = counted.usage(&parts, whole, || estimate::input(&request).input);
        Ok(Response {
            parts,
            stop,
            usage,
            model: model.unwrap_or_else(|| self.options.model.clone()),
            provider: PROVIDER.to_owned(),
            // The account's own settings may have made it dearer than the table's price.
            cost: pricing::price_under(PROVIDER, &self.options.model, &usage, &counted.terms()),
        })
    }
}

impl Llm for Anthropic {
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
        self.options.capabilities.context_window
    }

    /// Exact: the API counts, for free. A gateway that does not is answered for by an estimate, and that is flagged.
    fn count_tokens(&self, request: &Request) -> BoxFuture<'_, Result<Usage, Error>> {
        let request = request.clone();
        Box::pin(async move {
            let counted = Call::new(&self.http, &self.options, &self.account, &request).count(&request).await?;
            Ok(counted.map_or_else(|| estimate::input(&request), |input| Usage { input, ..Usage::default() }))
        })
    }

    fn cost(&self, usage: &Usage) -> Option<MicroUsd> {
        pricing::price(PROVIDER, &self.options.model, usage)
    }

    fn most(&self, input: u64, output: u64) -> Option<MicroUsd> {
        Usage::dearest(input, output, self.options.cache == PromptCache::Hour, |usage| self.cost(usage))
    }
}
