//! The JSON Schemas of the operator's files: what editors complete by, and what [`mod@crate::load`] checks agents by.

use std::sync::LazyLock;

use serde_json::Value;

use crate::{AgentSpec, ProviderRules};

static PROVIDERS: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(ProviderRules).to_value());
static AGENT: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(AgentSpec).to_value());

/// The schema of an agent's file. `config/schema/agent.json` is this, and `greenroom schema` prints it.
pub fn agent_schema() -> Value {
    AGENT.clone()
}

/// The schema of `providers.yaml`. `config/schema/providers.json` is this, and `greenroom schema providers` prints it.
pub fn providers_schema() -> Value {
    PROVIDERS.clone()
}

pub(crate) fn providers() -> &'static Value {
    &PROVIDERS
}

pub(crate) fn agent() -> &'static Value {
    &AGENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_for_editors_are_up_to_date() {
        for (name, schema) in [("agent", agent_schema()), ("providers", providers_schema())] {
            let file = format!("{}/schema/{name}.json", env!("CARGO_MANIFEST_DIR"));
            let written: Value =
                serde_json::from_str(&std::fs::read_to_string(file).unwrap_or_default()).unwrap_or_default();
            assert!(
                written == schema,
                "the types have changed: renew the file with `greenroom schema {name} > config/schema/{name}.json`"
            );
        }
    }

    /// Descriptions are the manual in the editor: no key may go without.
    #[test]
    fn every_key_is_described() {
        for schema in [agent_schema(), providers_schema()] {
            let objects = std::iter::once(&schema).chain(schema["$defs"].as_object().unwrap().values());
            for (name, property) in objects.filter_map(|object| object["properties"].as_object()).flatten() {
                let description = property["description"].as_str().unwrap_or_default();
                assert!(description.len() > 4, "{name} has no description");
            }
        }
    }
}
