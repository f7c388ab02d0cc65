//! `greenroom state`.

use std::{io::Read, path::Path, time::Duration};

use reqwest::Method;
use serde_json::Value;

use super::{
    args::{OfConversation, State},
    client::{Client, encoded},
    exit::Exit,
    output,
};

/// How long a document may take on its way.
const MOVE: Duration = Duration::from_secs(120);
/// How much of a message one line shows, in characters.
const LINE: usize = 100;

pub(super) fn run(client: &Client, verb: State, as_json: bool) -> Result<(), Exit> {
    match verb {
        State::Show { agent, conversation, messages } => {
            show(client, &agent, conversation.as_deref(), messages, as_json)
        }
        State::Reset { agent, of, memories, version } => {
            let version = version.map(|version| format!("&version={version}")).unwrap_or_default();
            let path = path(&agent, "reset", &format!("{}&memories={memories}{version}", query(&of)));
            let done = client.post(&path)?;
            tell(&done, as_json, &format!("of {agent} is set back"));
            Ok(())
        }
        State::Export { agent, of, output } => {
            let path = path(&agent, "export", &query(&of));
            let (_, archive) = client.call(Method::GET, &path, None, &[], MOVE)?;
            let text = archive.to_string();
            match output {
                None => output::answer(text),
                Some(file) => {
                    std::fs::write(&file, text)
                        .map_err(|error| Exit::failed(format!("{} cannot be written: {error}", file.display())))?;
                    let count = archive["conversations"].as_array().map_or(0, Vec::len);
                    output::note(format_args!("✓ {count} conversations of {agent} are in {}", file.display()));
                }
            }
            Ok(())
        }
        State::Import { agent, file, replace } => {
            let archive: Value = serde_json::from_str(&read(&file)?)
                .map_err(|error| Exit::usage(format!("{} is not JSON: {error}", file.display())))?;
            let path = path(&agent, "import", &format!("replace={replace}"));
            let (_, done) = client.call(Method::POST, &path, Some(&archive), &[], MOVE)?;
            tell(&done, as_json, &format!("of {agent} is imported"));
            Ok(())
        }
    }
}

fn show(client: &Client, agent: &str, conversation: Option<&str>, messages: u32, as_json: bool) -> Result<(), Exit> {
    let of = OfConversation { conversation: conversation.map(str::to_owned), all: false };
    let query = query(&of);
    let mut state = client.get(&path(agent, "state", &query))?;
    let newest = client.get(&path(agent, "state/messages", &format!("{query}&limit={}", messages.clamp(1, 500))))?;
    let others = client.get(&path(agent, "conversations", "limit=500"))?;
    let items = |list: &Value| list["items"].as_array().cloned().unwrap_or_default();
    if as_json {
        state["newest"] = newest["items"].clone();
        state["conversations"] = others["items"].clone();
        output::json(&state);
        return Ok(());
    }
    let named = state["conversation"].as_str().filter(|name| !name.is_empty()).unwrap_or("(its own)");
    output::answer(format_args!("agent         {agent}\nconversation  {named}"));
    output::answer(format_args!("version       {}\nmessages      {}", state["version"], state["messages"]));
    if let Some(summary) = state["data"]["conversation"]["summary"].as_str().filter(|text| !text.is_empty()) {
        let covers = &state["data"]["conversation"]["covers"];
        output::answer(format_args!("summary       of the first {covers} messages:\n{summary}"));
    }
    for memory in state["memories"].as_array().into_iter().flatten() {
        let word = |key: &str| memory[key].as_str().unwrap_or("-").to_owned();
        output::answer(format_args!("in mind       {}: {}", word("key"), output::one_line(&word("text"), LINE)));
    }
    let newest = items(&newest);
    if !newest.is_empty() {
        output::answer("");
    }
    for message in newest.iter().rev() {
        output::answer(format_args!("{:>6} {}", message["number"], said(message)));
    }
    let others: Vec<Value> =
        items(&others).into_iter().filter(|other| other["conversation"] != state["conversation"]).collect();
    if !others.is_empty() {
        output::note(format_args!("{} other conversations: greenroom state show {agent} --json", others.len()));
    }
    Ok(())
}

/// A message as one line.
fn said(message: &Value) -> String {
    let parts = message["parts"].as_array().into_iter().flatten().map(|part| match part["type"].as_str() {
        Some("text") => part["text"].as_str().unwrap_or_default().to_owned(),
        Some("tool_use") => format!("[calls {}]", part["name"].as_str().unwrap_or("-")),
        Some("tool_result") => format!("[it answers: {}]", part["content"].as_str().unwrap_or("-")),
        other => format!("[{}]", other.unwrap_or("-")),
    });
    let text = parts.collect::<Vec<_>>().join(" ");
    format!("{:<10} {}", message["role"].as_str().unwrap_or("-"), output::one_line(&text, LINE))
}

fn tell(done: &Value, as_json: bool, what: &str) {
    if as_json {
        return output::json(done);
    }
    for one in done["conversations"].as_array().into_iter().flatten() {
        let name = one["conversation"].as_str().filter(|name| !name.is_empty()).unwrap_or("(its own)");
        let (version, messages) = (&one["version"], &one["messages"]);
        output::note(format_args!("✓ Conversation {name} {what}: version {version}, {messages} messages"));
    }
    if done["memories"] == true {
        output::note(format_args!("✓ What it keeps in mind {what}"));
    }
}

fn path(agent: &str, what: &str, query: &str) -> String {
    format!("/v1/agents/{}/{what}?{query}", encoded(agent))
}

fn query(of: &OfConversation) -> String {
    match (&of.conversation, of.all) {
        (Some(conversation), _) => format!("conversation={}", encoded(conversation)),
        (None, true) => "all=true".to_owned(),
        (None, false) => "conversation=".to_owned(),
    }
}

fn read(file: &Path) -> Result<String, Exit> {
    if file == Path::new("-") {
        let mut text = String::new();
        return std::io::stdin().read_to_string(&mut text).map(|_| text).map_err(Exit::failed);
    }
    std::fs::read_to_string(file).map_err(|error| Exit::usage(format!("{} cannot be read: {error}", file.display())))
}
