//! What the agent keeps in mind, as its present execution sees it: what the store has, and what was added since.

use std::sync::Arc;

use greenroom_contract::{
    AgentId, BoxFuture, Clock,
    port::{
        memory::{Memory, Recall, Remember},
        state::State,
    },
};

use super::persist::persist_under;
use crate::watchdog::Pulse;

/// As many as are read: more than the tools let an agent keep.
const MOST: u32 = 2000;

pub(super) struct OwnMind {
    pub(super) state: Arc<dyn State>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) agent: AgentId,
    pub(super) added: Vec<Remember>,
    pub(super) pulse: Arc<Pulse>,
}

impl Recall for OwnMind {
    fn recall(&self) -> BoxFuture<'_, Result<Vec<Memory>, String>> {
        Box::pin(async move {
            let read = persist_under(Some(&self.pulse), "memories", || self.state.memories(&self.agent, MOST)).await;
            let mut kept = read.map_err(|error| error.to_string())?;
            for Remember { key, text } in &self.added {
                kept.retain(|memory| memory.key != *key);
                if let Some(text) = text {
                    kept.insert(0, Memory { key: key.clone(), text: text.clone(), at: self.clock.now() });
                }
            }
            Ok(kept)
        })
    }
}
