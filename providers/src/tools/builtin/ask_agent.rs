//! `ask_agent`: asks another agent, whose answer is the tool's. The execution waits for it and holds nothing meanwhile.

use std::{collections::BTreeMap, time::Duration};

use greenroom_config::spec::BuiltinTool;
use greenroom_contract::{
    AgentId, call::AgentCall, clarification::LONGEST_TEXT, execution::Effect, port::tool::ToolSpec,
};
use serde_json::{Value, json};

/// How long an agent has for an answer where the file does not say.
const ANSWER_WITHIN: Duration = Duration::from_secs(300);

/// The tool of one agent.
pub(in crate::tools) struct AskAgent {
    agents: Vec<AgentId>,
    within: Duration,
}

impl AskAgent {
    pub(super) fn new(tool: &BuiltinTool) -> Self {
        Self { agents: tool.agents.clone(), within: tool.answer_within.map_or(ANSWER_WITHIN, |within| within.0) }
    }

    /// The other recognises a question that it is asked again by its key.
    pub(super) fn spec(&self) -> ToolSpec {
        let agents: Vec<&str> = self.agents.iter().map(AgentId::as_str).collect();
        ToolSpec {
            name: "ask_agent".to_owned(),
            description: format!(
                "Asks another agent, and returns its answer. It knows nothing of this conversation: say all that it needs. \
                 It has {:?} for its answer. Several that are asked at once work side by side. The agents: {}.",
                self.within,
                agents.join(", ")
            ),
            input_schema: json!({
                "type": "object",
                "properties": {
                    "agent": { "type": "string", "enum": agents, "description": "Whom to ask." },
                    "question": { "type": "string", "description": "What to ask, with all that is needed to answer it." }
                },
                "required": ["agent", "question"],
                "additionalProperties": false
            }),
            effect: Effect::Keyed,
        }
    }

    /// What is asked of whom, or why that cannot be asked, for the model.
    pub(super) fn call(&self, input: &Value) -> Result<AgentCall, String> {
        let word = |key: &str| input.get(key).and_then(Value::as_str).map(str::trim).unwrap_or_default();
        let (name, question) = (word("agent"), word("question"));
        let known = self.agents.iter().find(|agent| agent.as_str() == name);
        let agents = || self.agents.iter().map(AgentId::as_str).collect::<Vec<_>>().join(", ");
        let agent = known.ok_or_else(|| format!("ask_agent may ask {}, and not {name:?}", agents()))?.clone();
        if question.is_empty() || question.chars().count() > LONGEST_TEXT {
            return Err(format!("ask_agent needs a question, which is a text of at most {LONGEST_TEXT} characters"));
        }
        Ok(AgentCall { agent, input: Value::from(question), outputs: BTreeMap::new(), within: self.within })
    }
}

#[cfg(test)]
mod tests {
    use greenroom_config::{HumanDuration, spec::Builtin};

    use super::*;

    fn tool() -> AskAgent {
        let agents = ["researcher", "critic"].map(|name| name.parse().unwrap()).to_vec();
        let answer_within = Some(HumanDuration(Duration::from_secs(7)));
        AskAgent::new(&BuiltinTool { agents, answer_within, ..BuiltinTool::plain(Builtin::AskAgent) })
    }

    #[test]
    fn who_is_named_in_the_file_is_asked() {
        let call = tool().call(&json!({ "agent": "critic", "question": " Is it good? " })).unwrap();
        assert_eq!(
            (call.agent.as_str(), call.input, call.within),
            ("critic", json!("Is it good?"), Duration::from_secs(7))
        );
        assert_eq!(tool().spec().input_schema["properties"]["agent"]["enum"], json!(["researcher", "critic"]));
    }

    #[test]
    fn nobody_else_is_and_nothing_is_not_asked() {
        let why = tool().call(&json!({ "agent": "boss", "question": "?" })).unwrap_err();
        assert!(why.contains("researcher, critic") && why.contains("boss"), "{why}");
        for input in [json!({}), json!({ "agent": "critic" }), json!({ "agent": "critic", "question": " " })] {
            assert!(tool().call(&input).is_err(), "{input}");
        }
        let long = "x".repeat(LONGEST_TEXT + 1);
        assert!(tool().call(&json!({ "agent": "critic", "question": long })).is_err());
    }
}
