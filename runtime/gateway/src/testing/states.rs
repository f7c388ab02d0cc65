//! The states of one agent, and whether it is at work.

use greenroom_contract::{
    AgentId, BoxFuture,
    page::{Page, PageRequest},
    port::{
        llm::Message,
        state::{AgentStates, CheckpointKey, ConversationRow, Error, NewStates, Result, Transcript},
    },
};
use jiff::Timestamp;
use serde_json::Value;

use super::{NOW, store::FakeState};

/// A state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    pub(crate) version: u64,
    pub(crate) data: Value,
    pub(crate) messages: Vec<Message>,
}

impl AgentStates for FakeState {
    fn conversations(&self, _: &AgentId, page: PageRequest) -> BoxFuture<'_, Result<Page<ConversationRow>>> {
        let states = self.states.lock().unwrap();
        let after = |name: &&String| page.cursor.as_ref().is_none_or(|cursor| *name > cursor);
        let row = |name: &String| ConversationRow {
            conversation: name.clone(),
            version: states[name].version,
            messages: states[name].messages.len() as u64,
            updated_at: Timestamp::from_second(NOW).unwrap(),
        };
        let items: Vec<_> = states.keys().filter(after).take(page.limit as usize).map(row).collect();
        let more = states.keys().filter(after).count() > items.len();
        let next_cursor = items.last().filter(|_| more).map(|row| row.conversation.clone());
        Box::pin(async move { Ok(Page { items, next_cursor }) })
    }

    fn transcript(&self, key: &CheckpointKey, before: Option<u64>, limit: u32) -> BoxFuture<'_, Result<Transcript>> {
        let found = self.states.lock().unwrap().get(&key.conversation).cloned().unwrap_or_default();
        let length = found.messages.len();
        let end = before.map_or(length, |before| length.min(before as usize));
        let first = end.saturating_sub(limit as usize);
        let messages = found.messages[first..end].to_vec();
        let shown = Transcript { version: found.version, length: length as u64, first: first as u64, messages };
        Box::pin(async move { Ok(shown) })
    }

    fn set_states(&self, wanted: NewStates) -> BoxFuture<'_, Result<()>> {
        let mut states = self.states.lock().unwrap();
        let old = |version, name: &String| version != states.get(name).map_or(0, |kept| kept.version);
        if wanted.states.iter().any(|state| old(state.replaces, &state.conversation)) {
            return Box::pin(async { Err(Error::Conflict { what: "no longer at this version".into() }) });
        }
        for state in wanted.states {
            let kept = Kept { version: state.replaces + 1, data: state.data, messages: state.messages };
            states.insert(state.conversation, kept);
        }
        if let Some(memories) = wanted.memories {
            *self.memories.lock().unwrap() = memories;
        }
        Box::pin(async { Ok(()) })
    }
}
