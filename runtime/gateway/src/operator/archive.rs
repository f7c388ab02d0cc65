//! An agent's state as a document: what is exported, and what is believed when it comes back.

use std::collections::BTreeSet;

use greenroom_contract::{
    AgentId,
    port::{
        llm::{Message, Part, Role},
        memory::Memory,
    },
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

const FORMAT: &str = "greenroom.agent-state";
/// Raised when a document of before cannot be read any more as it was meant.
const FORMAT_VERSION: u32 = 1;

/// What an agent may keep in mind, as its tools allow it.
const MOST_MEMORIES: usize = 1000;
const LONGEST_KEY: usize = 200;
const LONGEST_TEXT: usize = 4000;
const LONGEST_NAME: usize = 512;

/// The document.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Archive {
    format: String,
    format_version: u32,
    /// Whose state it was; another agent may take it over.
    pub(super) agent: AgentId,
    exported_at: Timestamp,
    /// Its conversations.
    pub(super) conversations: Vec<Archived>,
    /// What it keeps in mind; absent, that is left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) memories: Option<Vec<KeptInMind>>,
    /// Of conversations and memories. A document that was changed on purpose goes without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

/// A conversation and its state.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Archived {
    /// Its name; empty is the agent's own.
    pub(super) conversation: String,
    /// The version that it had; it gets another one where it is imported.
    pub(super) version: u64,
    /// Variables, and the summary of what is not in view any more.
    pub(super) data: Value,
    /// All of it, oldest first.
    pub(super) messages: Vec<Message>,
}

/// A memory.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptInMind {
    key: String,
    text: String,
    at: Timestamp,
}

impl From<Memory> for KeptInMind {
    fn from(Memory { key, text, at }: Memory) -> Self {
        Self { key, text, at }
    }
}

impl From<KeptInMind> for Memory {
    fn from(KeptInMind { key, text, at }: KeptInMind) -> Self {
        Self { key, text, at }
    }
}

impl Archive {
    pub(super) fn new(
        agent: AgentId,
        exported_at: Timestamp,
        conversations: Vec<Archived>,
        memories: Option<Vec<KeptInMind>>,
    ) -> Self {
        let digest = Some(digest(&conversations, memories.as_deref()));
        let format = FORMAT.to_owned();
        Self { format, format_version: FORMAT_VERSION, agent, exported_at, conversations, memories, digest }
    }

    /// Says what is wrong with it, by the place in the document.
    pub(super) fn check(&self) -> Result<(), (String, String)> {
        let wrong = |place: &str, why: String| Err((place.to_owned(), why));
        if self.format != FORMAT {
            return wrong("/format", format!("is {:?}; {FORMAT:?} can be imported", self.format));
        }
        if !(1..=FORMAT_VERSION).contains(&self.format_version) {
            let why = format!("is {}; this build reads 1 to {FORMAT_VERSION}", self.format_version);
            return wrong("/format_version", why);
        }
        if self.digest.as_ref().is_some_and(|digest_| *digest_ != digest(&self.conversations, self.memories.as_deref()))
        {
            let why = "does not fit what the document says: it was damaged or changed; remove the digest to import it as it is";
            return wrong("/digest", why.to_owned());
        }
        let mut names = BTreeSet::new();
        for (at, one) in self.conversations.iter().enumerate() {
            let place = format!("/conversations/{at}");
            if !names.insert(&one.conversation) {
                return wrong(&place, format!("conversation {:?} stands there twice", one.conversation));
            }
            if one.conversation.chars().count() > LONGEST_NAME || one.conversation.contains('\0') {
                return wrong(&place, format!("its name has more than {LONGEST_NAME} characters, or a NUL"));
            }
            if !matches!(one.data, Value::Null | Value::Object(_)) {
                return wrong(&format!("{place}/data"), "is neither an object nor null".to_owned());
            }
            if let Err((number, why)) = check_turns(&one.messages) {
                return wrong(&format!("{place}/messages/{number}"), why.to_owned());
            }
        }
        let memories = self.memories.as_deref().unwrap_or_default();
        if memories.len() > MOST_MEMORIES {
            return wrong("/memories", format!("has {}; an agent keeps {MOST_MEMORIES} in mind", memories.len()));
        }
        let mut keys = BTreeSet::new();
        for (at, KeptInMind { key, text, .. }) in memories.iter().enumerate() {
            let fits = |text: &str, most| !text.is_empty() && text.chars().count() <= most && !text.contains('\0');
            if !fits(key, LONGEST_KEY) || !fits(text, LONGEST_TEXT) || !keys.insert(key) {
                let why = format!(
                    "needs a key of its own of 1 to {LONGEST_KEY} characters and a text of 1 to {LONGEST_TEXT}, without NUL"
                );
                return wrong(&format!("/memories/{at}"), why);
            }
        }
        Ok(())
    }
}

/// Every call of a tool has its answer in the next turn, and every answer its call: providers refuse anything else.
fn check_turns(messages: &[Message]) -> Result<(), (usize, &'static str)> {
    let mut open: BTreeSet<&str> = BTreeSet::new();
    for (number, Message { role, parts }) in messages.iter().enumerate() {
        let mut answered = BTreeSet::new();
        let mut asked = BTreeSet::new();
        for part in parts {
            match (role, part) {
                (Role::User, Part::ToolResult { id, .. }) => _ = answered.insert(id.as_str()),
                (Role::Assistant, Part::ToolUse(ask)) => _ = asked.insert(ask.id.as_str()),
                (Role::Assistant, Part::ToolResult { .. }) => {
                    return Err((number, "a tool's answer is the user's turn"));
                }
                (Role::User, Part::ToolUse(_)) => return Err((number, "a tool is called in the assistant's turn")),
                _ => {}
            }
        }
        if answered != open {
            return Err((number, "the answers of tools do not fit the calls of the turn before"));
        }
        open = asked;
    }
    match open.is_empty() {
        true => Ok(()),
        false => Err((messages.len() - 1, "the last turn calls tools, and no answer follows")),
    }
}

fn digest(conversations: &[Archived], memories: Option<&[KeptInMind]>) -> String {
    // All of it has string keys: it serialises.
    let bytes = serde_json::to_vec(&(conversations, memories)).unwrap_or_default();
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests {
    use greenroom_contract::port::llm::ToolUse;
    use serde_json::json;

    use super::*;

    fn archive() -> Archive {
        let messages = vec![Message::text(Role::User, "hi"), Message::text(Role::Assistant, "yes?")];
        let own = Archived { conversation: String::new(), version: 3, data: json!({ "b": 1, "a": [2] }), messages };
        let memory =
            KeptInMind { key: "city".into(), text: "Oslo".into(), at: "2026-11-26T09:00:00Z".parse().unwrap() };
        let at = "2026-11-26T10:00:00Z".parse().unwrap();
        Archive::new("ada".parse().unwrap(), at, vec![own], Some(vec![memory]))
    }

    #[test]
    fn a_document_comes_back_as_it_went() {
        let text = serde_json::to_string(&archive()).unwrap();
        let read: Archive = serde_json::from_str(&text).unwrap();
        assert_eq!(read.check(), Ok(()));
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }

    #[test]
    fn what_was_changed_is_told_by_its_place() {
        let place = |change: fn(&mut Archive)| {
            let mut changed = archive();
            change(&mut changed);
            changed.check().err().map(|(place, _)| place)
        };
        assert_eq!(place(|a| a.format = "other".into()).as_deref(), Some("/format"));
        assert_eq!(place(|a| a.format_version = 2).as_deref(), Some("/format_version"));
        assert_eq!(place(|a| _ = a.conversations[0].messages.pop()).as_deref(), Some("/digest"));
        assert_eq!(place(|a| a.memories = None).as_deref(), Some("/digest"));
        let unsealed = |change: fn(&mut Archive)| {
            let mut changed = archive();
            changed.digest = None;
            change(&mut changed);
            changed.check().err().map(|(place, _)| place)
        };
        assert_eq!(unsealed(|a| _ = a.conversations[0].messages.pop()), None, "changed on purpose");
        assert_eq!(unsealed(|a| a.conversations[0].data = json!(1)).as_deref(), Some("/conversations/0/data"));
        let twice = |a: &mut Archive| a.conversations.extend(archive().conversations);
        assert_eq!(unsealed(twice).as_deref(), Some("/conversations/1"));
        assert_eq!(unsealed(|a| a.memories.as_mut().unwrap()[0].key.clear()).as_deref(), Some("/memories/0"));
    }

    #[test]
    fn a_call_without_its_answer_is_found() {
        let ask = |id: &str| Message {
            role: Role::Assistant,
            parts: vec![Part::ToolUse(ToolUse { id: id.into(), name: "look".into(), input: json!({}) })],
        };
        let answer = |id: &str| {
            let part = Part::ToolResult { id: id.into(), content: String::new(), is_error: false, images: vec![] };
            Message { role: Role::User, parts: vec![part] }
        };
        let text = |role| Message::text(role, "so");
        assert_eq!(check_turns(&[text(Role::User), ask("1"), answer("1"), text(Role::Assistant)]), Ok(()));
        for (wrong, at) in [
            (vec![text(Role::User), ask("1")], 1),
            (vec![ask("1"), answer("2")], 1),
            (vec![answer("1")], 0),
            (vec![ask("1"), text(Role::User)], 1),
            (vec![Message { role: Role::User, ..ask("1") }], 0),
        ] {
            assert_eq!(check_turns(&wrong).map_err(|(at, _)| at), Err(at), "{wrong:?}");
        }
    }
}
