//! The agents that play in the stories.

use std::time::Duration;

use kit::model::ModelServer;

/// How long a story waits for something that should happen at once.
pub(crate) const SOON: Duration = kit::wait::PATIENCE;

/// An agent that asks the model server. `more` are further lines of its file.
pub(crate) fn agent(name: &str, model: &ModelServer, more: &str) -> String {
    agent_at(name, &model.url(), more)
}

/// An agent that asks a model server at this address.
pub(crate) fn agent_at(name: &str, url: &str, more: &str) -> String {
    format!(
        "name: {name}\n\
         agent_type: test\n\
         execution_mode: autonomous\n\
         llm_config: {{provider: openai-compatible, model: kit-model, base_url: \"{url}\"}}\n\
         {more}\n"
    )
}

/// An agent without a model: it plays `rules`, written as a YAML list in flow style.
pub(crate) fn scripted(name: &str, rules: &str, more: &str) -> String {
    format!(
        "name: {name}\n\
         agent_type: test\n\
         execution_mode: autonomous\n\
         llm_config: {{provider: scripted, script: {rules}}}\n\
         {more}\n"
    )
}

/// An agent whose answer tells which file it came from.
pub(crate) fn saying(name: &str, reply: &str) -> String {
    scripted(name, &format!("[{{reply: \"{reply}\"}}]"), "")
}
