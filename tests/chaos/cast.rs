//! The agents that play, and what their model says.

use serde_json::{Value, json};

use super::cell::Subject;
use crate::{
    model::{Asked, ModelServer, Reply},
    node::Home,
};

/// The agent that works.
pub(super) const CLERK: &str = "clerk";
/// The agent that hears what the clerk says, once each.
pub(super) const LISTENER: &str = "listener";
/// The topic of events that the clerk sends.
pub(super) const SAID: &str = "kit.said";

/// Writes both agents' files.
pub(super) fn enter(home: &Home, model: &ModelServer, subject: Subject) {
    home.agent(CLERK, &clerk(home, model, subject));
    let listener = format!(
        "name: {LISTENER}\nagent_type: test\nexecution_mode: autonomous\n\
         llm_config: {{provider: scripted, script: [{{reply: heard}}]}}\n\
         subscriptions: [{SAID}, agent.output.{CLERK}]\n"
    );
    home.agent(LISTENER, &listener);
    model.rule(move |asked| answer(asked, subject));
}

fn clerk(home: &Home, model: &ModelServer, subject: Subject) -> String {
    let mode = if subject == Subject::Continuous { "continuous" } else { "autonomous" };
    let heard = if subject == Subject::Reply { "subscriptions: [slack.events.app_mention.*]\n" } else { "" };
    let tool = match subject {
        Subject::OutgoingEvent => "  - builtin: emit_event".to_owned(),
        _ => home.mcp_tool(subject.effect().as_str()),
    };
    format!(
        "name: {CLERK}\nagent_type: test\nexecution_mode: {mode}\n\
         llm_config: {{provider: openai-compatible, model: kit-model, base_url: \"{}\"}}\nlimits: {{on_unknown: fail}}\n{heard}tools:\n{tool}\n",
        model.url()
    )
}

/// What the model says at its place in the run, however often it is asked.
pub(super) fn answer(asked: &Asked, subject: Subject) -> Reply {
    let question = asked.question();
    match turns_since_the_question(asked) {
        0 if subject == Subject::OutgoingEvent => {
            Reply::tool("emit_event", json!({"topic": SAID, "payload": {"text": question}}))
        }
        0 => Reply::tool("charge", json!({"amount": 7})),
        _ => Reply::text(format!("done: {question}")),
    }
}

fn turns_since_the_question(asked: &Asked) -> usize {
    messages(asked)
        .iter()
        .rev()
        .take_while(|message| message["role"] != "user")
        .filter(|m| m["role"] == "assistant")
        .count()
}

/// Every question in the conversation, oldest first.
pub(super) fn questions(asked: &Asked) -> Vec<String> {
    let questions = messages(asked).iter().filter(|message| message["role"] == "user");
    questions.map(|message| message["content"].as_str().unwrap_or_default().to_owned()).collect()
}

fn messages(asked: &Asked) -> &[Value] {
    asked.body["messages"].as_array().map(Vec::as_slice).unwrap_or_default()
}
