//! What one agent may do with a server's tools, and what is known of them, from its configuration.

use std::{collections::BTreeMap, time::Duration};

use greenroom_config::spec::McpServer;
use greenroom_contract::execution::Effect;
use rmcp::model::{Tool, ToolAnnotations};

use crate::tools::{
    limit::MAX_BYTES,
    pattern::{allowed, fits, said_of},
};

/// The rules.
pub(in crate::tools) struct Rules {
    allow: Vec<String>,
    effect: Option<Effect>,
    effects: BTreeMap<String, Effect>,
    confirm: Vec<String>,
    timeouts: BTreeMap<String, Duration>,
    pub(super) max_output: usize,
}

impl Rules {
    pub(in crate::tools) fn new(config: &McpServer) -> Self {
        Self {
            allow: config.allow.clone(),
            effect: config.effect,
            effects: config.effects.clone(),
            confirm: config.confirm.clone(),
            timeouts: config.timeouts.iter().map(|(tool, timeout)| (tool.clone(), timeout.0)).collect(),
            max_output: config.max_output_bytes.map_or(MAX_BYTES, |most| most as usize),
        }
    }

    /// Whether the agent sees this tool.
    pub(super) fn allow(&self, tool: &Tool) -> bool {
        allowed(&self.allow, &tool.name)
    }

    /// What a second call would do. The operator is believed before the server; a tool about which nobody says anything
    /// must not run twice.
    pub(super) fn effect(&self, tool: &Tool) -> Effect {
        let said = said_of(&self.effects, &tool.name).copied().or(self.effect);
        said.unwrap_or_else(|| hinted(tool.annotations.as_ref()))
    }

    /// Whether a person has to allow each call of this tool.
    pub(super) fn confirms(&self, own_name: &str) -> bool {
        self.confirm.iter().any(|pattern| fits(pattern, own_name))
    }

    /// How long a call of this tool may be silent, where the configuration says so.
    pub(super) fn silence(&self, own_name: &str) -> Option<Duration> {
        said_of(&self.timeouts, own_name).copied()
    }
}

/// What a server says of its tool. One that is said to only read and to destroy is not believed.
fn hinted(annotations: Option<&ToolAnnotations>) -> Effect {
    let Some(hints) = annotations else { return Effect::AtMostOnce };
    match (hints.read_only_hint, hints.idempotent_hint) {
        (Some(true), _) if hints.destructive_hint == Some(true) => Effect::AtMostOnce,
        (Some(true), _) => Effect::None,
        (_, Some(true)) => Effect::Idempotent,
        _ => Effect::AtMostOnce,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn tool(name: &str, annotations: Value) -> Tool {
        let tool = json!({ "name": name, "inputSchema": { "type": "object" }, "annotations": annotations });
        serde_json::from_value(tool).unwrap()
    }

    fn rules(config: Value) -> Rules {
        let mut server = json!({ "command": "x" });
        server.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
        Rules::new(&serde_json::from_value(server).unwrap())
    }

    #[test]
    fn the_operator_is_believed_before_the_server_and_silence_means_at_most_once() {
        let hinted = |annotations| rules(json!({})).effect(&tool("t", annotations));
        assert_eq!(hinted(json!({ "readOnlyHint": true })), Effect::None);
        assert_eq!(hinted(json!({ "readOnlyHint": true, "destructiveHint": true })), Effect::AtMostOnce);
        assert_eq!(hinted(json!({ "idempotentHint": true, "destructiveHint": true })), Effect::Idempotent);
        assert_eq!(hinted(json!({ "readOnlyHint": false, "destructiveHint": false })), Effect::AtMostOnce);
        assert_eq!(hinted(json!(null)), Effect::AtMostOnce);
        let said = rules(json!({ "effect": "keyed", "effects": { "get_*": "none", "get_lock": "at_most_once" } }));
        assert_eq!(said.effect(&tool("charge", json!({ "readOnlyHint": true }))), Effect::Keyed);
        assert_eq!(said.effect(&tool("get_page", json!(null))), Effect::None);
        assert_eq!(said.effect(&tool("get_lock", json!({ "readOnlyHint": true }))), Effect::AtMostOnce);
    }

    #[test]
    fn a_person_is_asked_for_the_named_tools_only() {
        let said = rules(json!({ "confirm": ["delete_*", "pay"] }));
        assert!(said.confirms("delete_page") && said.confirms("pay"));
        assert!(!said.confirms("pay_later") && !rules(json!({})).confirms("pay"));
    }

    #[test]
    fn a_tool_has_its_own_patience() {
        let said = rules(json!({ "timeouts": { "slow_*": "5m" } }));
        assert_eq!(said.silence("slow_report"), Some(Duration::from_secs(300)));
        assert_eq!(said.silence("quick"), None);
    }
}
