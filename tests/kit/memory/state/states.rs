//! Agents' states from outside.

use greenroom_contract::{
    AgentId, BoxFuture,
    clock::{from_millis, to_millis},
    page::{Page, PageRequest},
    port::state::{AgentStates, CheckpointKey, ConversationRow, NewState, NewStates, Result, Transcript},
    status::ExecutionStatus,
};

use super::{
    shown::List,
    store::MemoryState,
    tables::{Conversation, Tables, conflict},
};

const CONVERSATIONS: List = List('c');

impl Tables {
    /// A conversation at its next version.
    pub(super) fn conversation(&mut self, key: CheckpointKey, now: i64) -> &mut Conversation {
        let number = self.conversations.len() as i64 + 1;
        let kept = self.conversations.entry(key).or_insert_with(|| Conversation { number, ..Conversation::default() });
        kept.version += 1;
        kept.updated_at = now;
        kept
    }

    fn list_conversations(&self, agent: &AgentId, page: &PageRequest) -> Result<Page<ConversationRow>> {
        let below = CONVERSATIONS.below(page)?;
        let own = self.conversations.iter().filter(|(key, kept)| key.agent == *agent && kept.number < below);
        let mut rows: Vec<_> = own
            .map(|(key, kept)| {
                let row = ConversationRow {
                    conversation: key.conversation.clone(),
                    version: kept.version,
                    messages: kept.messages.len() as u64,
                    updated_at: from_millis(kept.updated_at),
                };
                (kept.number, row)
            })
            .collect();
        rows.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
        Ok(CONVERSATIONS.page(rows, page.limit as usize))
    }

    fn transcript(&self, key: &CheckpointKey, before: Option<u64>, limit: u32) -> Transcript {
        let Some(kept) = self.conversations.get(key) else { return Transcript::default() };
        let length = kept.messages.len();
        let end = before.map_or(length, |before| length.min(before as usize));
        let first = end.saturating_sub(limit as usize);
        let messages = kept.messages[first..end].to_vec();
        Transcript { version: kept.version, length: length as u64, first: first as u64, messages }
    }

    fn set_states(&mut self, wanted: NewStates, now: i64) -> Result<()> {
        let NewStates { agent, states, memories } = wanted;
        let under_way = |number: &usize| {
            let row = &self.rows[*number];
            row.status != ExecutionStatus::Queued || row.steps.iter().any(|step| step.attempt == row.attempt)
        };
        if self.unfinished.get(&agent).is_some_and(|rows| rows.iter().any(under_way)) {
            return Err(conflict(format!("an execution of {agent} is under way")));
        }
        let key = |conversation: &str| CheckpointKey { agent: agent.clone(), conversation: conversation.to_owned() };
        for NewState { conversation, replaces, .. } in &states {
            let version = self.conversations.get(&key(conversation)).map_or(0, |kept| kept.version);
            if version != *replaces {
                return Err(conflict(format!("the state of {agent} is no longer at version {replaces}")));
            }
        }
        for NewState { conversation, data, messages, .. } in states {
            let kept = self.conversation(key(&conversation), now);
            (kept.data, kept.messages) = (data, messages);
        }
        if let Some(memories) = memories {
            self.memories.retain(|(owner, _), _| *owner != agent);
            for memory in memories {
                self.memories.insert((agent.clone(), memory.key), (to_millis(memory.at), memory.text));
            }
        }
        Ok(())
    }
}

impl AgentStates for MemoryState {
    fn conversations(&self, agent: &AgentId, page: PageRequest) -> BoxFuture<'_, Result<Page<ConversationRow>>> {
        let agent = agent.clone();
        self.call(move |tables, _| tables.list_conversations(&agent, &page))
    }

    fn transcript(&self, key: &CheckpointKey, before: Option<u64>, limit: u32) -> BoxFuture<'_, Result<Transcript>> {
        let key = key.clone();
        self.call(move |tables, _| Ok(tables.transcript(&key, before, limit)))
    }

    fn set_states(&self, states: NewStates) -> BoxFuture<'_, Result<()>> {
        self.call(|tables, now| tables.set_states(states, now))
    }
}
