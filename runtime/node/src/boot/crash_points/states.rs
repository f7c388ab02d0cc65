//! What an operator does with agents' states has no crash points: it is one transaction, and nothing follows from it.

use greenroom_contract::{
    AgentId, BoxFuture,
    page::{Page, PageRequest},
    port::state::{AgentStates, CheckpointKey, ConversationRow, NewStates, Result, Transcript},
};

use super::state::Dangerous;

impl AgentStates for Dangerous {
    fn conversations(&self, agent: &AgentId, page: PageRequest) -> BoxFuture<'_, Result<Page<ConversationRow>>> {
        self.inner.conversations(agent, page)
    }

    fn transcript(&self, key: &CheckpointKey, before: Option<u64>, limit: u32) -> BoxFuture<'_, Result<Transcript>> {
        self.inner.transcript(key, before, limit)
    }

    fn set_states(&self, states: NewStates) -> BoxFuture<'_, Result<()>> {
        self.inner.set_states(states)
    }
}
