//! Before and after calls of models and tools.

use std::sync::Arc;

use futures::StreamExt;
use greenroom_actors::ports::{Outfit, Outfitter};
use greenroom_config::AgentSpec;
use greenroom_contract::{
    BoxFuture, BoxStream, MicroUsd,
    execution::Failure,
    port::{
        llm::{self, Chunk, Llm, Request, Usage},
        tool::{self, Answer, Call, ToolSpec, Toolset},
    },
};

use super::trigger::{Deed, Trigger};

/// An outfitter whose models and tools the node may die beside.
pub(super) struct Dangerous {
    pub(super) inner: Arc<dyn Outfitter>,
    pub(super) trigger: Arc<Trigger>,
}

impl Outfitter for Dangerous {
    fn outfit(&self, spec: Arc<AgentSpec>) -> BoxFuture<'_, Result<Outfit, Failure>> {
        Box::pin(async move {
            let Outfit { llm, cheaper, tools } = self.inner.outfit(spec).await?;
            let model = |inner| Arc::new(Model { inner, trigger: Arc::clone(&self.trigger) }) as Arc<dyn Llm>;
            Ok(Outfit {
                llm: model(llm),
                cheaper: cheaper.map(model),
                tools: Arc::new(Tools { inner: tools, trigger: Arc::clone(&self.trigger) }),
            })
        })
    }
}

struct Model {
    inner: Arc<dyn Llm>,
    trigger: Arc<Trigger>,
}

impl Llm for Model {
    fn provider(&self) -> &str {
        self.inner.provider()
    }

    fn model(&self) -> &str {
        self.inner.model()
    }

    fn stream(&self, request: Request) -> BoxStream<'_, Result<Chunk, llm::Error>> {
        let about = format!("llm {}/{}", self.provider(), self.model());
        self.trigger.before(Deed::Call, &about);
        let chunks = self.inner.stream(request).inspect(move |chunk| {
            if matches!(chunk, Ok(Chunk::Done(_))) {
                self.trigger.after(Deed::Call, &about);
            }
        });
        Box::pin(chunks)
    }

    fn context_window(&self) -> Option<u64> {
        self.inner.context_window()
    }

    fn count_tokens(&self, request: &Request) -> BoxFuture<'_, Result<Usage, llm::Error>> {
        self.inner.count_tokens(request)
    }

    fn cost(&self, usage: &Usage) -> Option<MicroUsd> {
        self.inner.cost(usage)
    }

    fn most(&self, input: u64, output: u64) -> Option<MicroUsd> {
        self.inner.most(input, output)
    }
}

struct Tools {
    inner: Arc<dyn Toolset>,
    trigger: Arc<Trigger>,
}

impl Toolset for Tools {
    fn list(&self) -> Vec<ToolSpec> {
        self.inner.list()
    }

    fn confirms(&self, name: &str) -> Option<bool> {
        self.inner.confirms(name)
    }

    fn call(&self, call: Call) -> BoxFuture<'_, Result<Answer, tool::Error>> {
        let about = format!("tool {}", call.name);
        Box::pin(async move {
            self.trigger.before(Deed::Call, &about);
            let answer = self.inner.call(call).await?;
            self.trigger.after(Deed::Call, &about);
            Ok(answer)
        })
    }

    fn degraded(&self) -> Vec<String> {
        self.inner.degraded()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}
