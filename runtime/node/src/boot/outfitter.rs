//! Fits agents out with what `greenroom-providers` has.

use std::sync::Arc;

use greenroom_actors::ports::{Outfit, Outfitter};
use greenroom_config::{AgentSpec, Environment, ProviderRules};
use greenroom_contract::{BoxFuture, Clock, execution::Failure, tree::Table};
use greenroom_providers::{Providers, Unusable, tools::Toolshed};
use reqwest::Client;

/// The providers and tools of this node.
pub(super) struct Wardrobe {
    providers: Providers,
    tools: Toolshed,
}

impl Wardrobe {
    pub(super) fn new(
        env: Environment,
        http: Client,
        rules: ProviderRules,
        clock: Arc<dyn Clock>,
        table: Table,
    ) -> Self {
        let providers = Providers::new(&env, http).under(rules, table.clone());
        Self { providers, tools: Toolshed::new(env, clock, Some(table)) }
    }
}

impl Outfitter for Wardrobe {
    fn outfit(&self, spec: Arc<AgentSpec>) -> BoxFuture<'_, Result<Outfit, Failure>> {
        Box::pin(async move {
            let llm = self.providers.build(&spec.llm_config).await.map_err(|why| unavailable("model", &why))?;
            let tools = self.tools.open(&spec.name, &spec.tools).await.map_err(|why| unavailable("tools", &why))?;
            let cheaper = match &spec.limits.budget_usd.degrade_to {
                Some(other) => {
                    let config = spec.llm_config.with_model(other);
                    let built = self.providers.build(&config).await;
                    Some(built.map_err(|why| unavailable("limits.budget_usd.degrade_to", &why))?)
                }
                None => None,
            };
            Ok(Outfit { llm, cheaper, tools })
        })
    }
}

fn unavailable(code: &str, why: &Unusable) -> Failure {
    Failure::new(code, why.to_string())
}
