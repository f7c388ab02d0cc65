//! What fits agents out in a house.

use std::sync::Arc;

use greenroom_actors::ports::{Outfit, Outfitter};
use greenroom_config::AgentSpec;
use greenroom_contract::{
    BoxFuture,
    execution::Failure,
    port::reply::{Error, Replies, Reply},
};

use super::{
    model::{Model, Voice},
    tools::Tools,
};

/// Gives every agent the test's model and tools, whatever its file says.
pub(super) struct Wardrobe {
    pub(super) model: Arc<Model>,
}

impl Outfitter for Wardrobe {
    fn outfit(&self, spec: Arc<AgentSpec>) -> BoxFuture<'_, Result<Outfit, Failure>> {
        let llm = Arc::new(Voice { agent: spec.name.clone(), model: Arc::clone(&self.model) });
        let tools = Arc::new(Tools { model: Arc::clone(&self.model) });
        Box::pin(std::future::ready(Ok(Outfit { llm, tools })))
    }
}

/// Nobody is written to.
pub(super) struct NoReplies;

impl Replies for NoReplies {
    fn send(&self, _: Reply) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
