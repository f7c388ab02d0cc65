//! What fits agents out in a house.

use std::sync::Arc;

use greenroom_actors::ports::{Outfit, Outfitter};
use greenroom_config::AgentSpec;
use greenroom_contract::{BoxFuture, execution::Failure, port::llm::Llm};

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
        let voice = |name: &str| {
            Arc::new(Voice { agent: spec.name.clone(), name: name.to_owned(), model: Arc::clone(&self.model) })
                as Arc<dyn Llm>
        };
        let llm = voice("fake");
        let cheaper = spec.limits.budget_usd.degrade_to.as_ref().and_then(|other| other.model.as_deref()).map(voice);
        let tools = Arc::new(Tools { model: Arc::clone(&self.model) });
        Box::pin(std::future::ready(Ok(Outfit { llm, cheaper, tools })))
    }
}
