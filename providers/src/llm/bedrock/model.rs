//! The provider.

use aws_sdk_bedrockruntime::Client;
use greenroom_config::spec::PromptCache;
use greenroom_contract::{
    BoxFuture, BoxStream,
    money::MicroUsd,
    port::llm::{Chunk, Error, Llm, Request, Response, Usage},
};
use secrecy::SecretString;

use super::call::Call;
use crate::{
    llm::{
        estimate,
        generator::{Emitter, generate},
        limits::Whose,
    },
    pricing::{self, Capabilities},
};

/// The name in the registry, which also marks the blocks that go back unchanged.
pub(super) const PROVIDER: &str = "bedrock";

/// A model, and how it is reached.
pub(super) struct Options {
    pub(super) client: Client,
    /// What must be taken out of messages.
    pub(super) secrets: Vec<SecretString>,
    /// Where the credentials come from, for messages.
    pub(super) key_name: String,
    /// Bedrock's name of the model: its id, an inference profile or an ARN.
    pub(super) model: String,
    /// How long the beginning of the conversation is remembered.
    pub(super) cache: PromptCache,
    /// What the model takes.
    pub(super) capabilities: Capabilities,
}

/// A model on Bedrock. It makes each call once: retries are the business of the layer above.
pub(crate) struct Bedrock {
    options: Options,
}

impl Bedrock {
    pub(super) fn new(options: Options) -> Self {
        Self { options }
    }

    /// Whose limits its calls count under.
    pub(crate) fn whose(&self) -> Whose {
        let (provider, server) = (PROVIDER.to_owned(), "aws".to_owned());
        Whose { provider, server, key_name: self.options.key_name.clone() }
    }

    async fn ask(&self, request: Request, out: &Emitter) -> Result<Response, Error> {
        let answer = Call::new(&self.options, &request).ask(&request, out).await?;
        let counted = answer.counted;
        let (parts, stop) = answer.finish()?;
        let usage = counted.map_or_else(
            || Usage { output: estimate::output(&parts), ..estimate::input(&request) },
            |counted| counted.usage(),
        );
        Ok(Response {
            parts,
            stop,
            usage,
            // Bedrock does not repeat it.
            model: self.options.model.clone(),
            provider: PROVIDER.to_owned(),
            cost: self.cost(&usage),
        })
    }
}

impl Llm for Bedrock {
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

    /// Exact where Bedrock counts for the model, else an estimate, and flagged.
    fn count_tokens(&self, request: &Request) -> BoxFuture<'_, Result<Usage, Error>> {
        let request = request.clone();
        Box::pin(async move {
            let counted = Call::new(&self.options, &request).count(&request).await?;
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
