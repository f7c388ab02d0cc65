//! States are shown and set by the durable store alone. What is set anew has a version of its own, so that no entry of an
//! earlier one is believed; the near copy is dropped, because nobody will ask for it again.

use greenroom_contract::{
    AgentId, BoxFuture,
    page::{Page, PageRequest},
    port::state::{AgentStates, CheckpointKey, ConversationRow, NewStates, Result, Transcript},
};

use super::tiered::Tiered;

impl AgentStates for Tiered {
    fn conversations(&self, agent: &AgentId, page: PageRequest) -> BoxFuture<'_, Result<Page<ConversationRow>>> {
        self.durable.conversations(agent, page)
    }

    fn transcript(&self, key: &CheckpointKey, before: Option<u64>, limit: u32) -> BoxFuture<'_, Result<Transcript>> {
        self.durable.transcript(key, before, limit)
    }

    fn set_states(&self, states: NewStates) -> BoxFuture<'_, Result<()>> {
        let key =
            |conversation: &String| CheckpointKey { agent: states.agent.clone(), conversation: conversation.clone() };
        let old: Vec<_> = states.states.iter().map(|state| (key(&state.conversation), state.replaces)).collect();
        Box::pin(async move {
            self.durable.set_states(states).await?;
            old.iter().for_each(|(key, version)| self.forget(key, *version));
            Ok(())
        })
    }
}
