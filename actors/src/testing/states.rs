//! No test asks this store for agents' states: the simulations do.

use greenroom_contract::{
    AgentId, BoxFuture,
    page::{Page, PageRequest},
    port::state::{AgentStates, CheckpointKey, ConversationRow, NewStates, Result, Transcript},
};

use super::store::{Store, unasked};

impl AgentStates for Store {
    fn conversations(&self, _: &AgentId, _: PageRequest) -> BoxFuture<'_, Result<Page<ConversationRow>>> {
        unasked()
    }

    fn transcript(&self, _: &CheckpointKey, _: Option<u64>, _: u32) -> BoxFuture<'_, Result<Transcript>> {
        unasked()
    }

    fn set_states(&self, _: NewStates) -> BoxFuture<'_, Result<()>> {
        unasked()
    }
}
