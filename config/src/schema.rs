//! The JSON Schema of an agent's file: what editors complete by, and what [`mod@crate::load`] checks by.

use std::sync::LazyLock;

use serde_json::Value;

use crate::AgentSpec;

static AGENT: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(AgentSpec).to_value());

/// The schema of an agent's file. `config/schema/agent.json` is this, and `greenroom schema` prints it.
pub fn agent_schema() -> Value {
    AGENT.clone()
}

pub(crate) fn agent() -> &'static Value {
    &AGENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_for_editors_is_up_to_date() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/agent.json");
        let written: Value =
            serde_json::from_str(&std::fs::read_to_string(file).unwrap_or_default()).unwrap_or_default();
        assert!(
            written == agent_schema(),
            "the types have changed: renew the file with `greenroom schema > config/schema/agent.json`"
        );
    }

    /// Descriptions are the manual in the editor: no key may go without.
    #[test]
    fn every_key_is_described() {
        let schema = agent();
        let objects = std::iter::once(schema).chain(schema["$defs"].as_object().unwrap().values());
        for (name, property) in objects.filter_map(|object| object["properties"].as_object()).flatten() {
            let description = property["description"].as_str().unwrap_or_default();
            assert!(description.len() > 4, "{name} has no description");
        }
    }
}
