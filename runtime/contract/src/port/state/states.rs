//! Agents' states from outside: what an operator looks at, and sets anew as a whole.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{CheckpointKey, Result};
use crate::{
    BoxFuture,
    id::AgentId,
    page::{Page, PageRequest},
    port::{llm::Message, memory::Memory},
};

/// A conversation of an agent, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConversationRow {
    /// Its name; empty is the agent's own.
    pub conversation: String,
    /// The version of its state.
    pub version: u64,
    /// How many messages it has.
    pub messages: u64,
    /// When it was last written.
    pub updated_at: Timestamp,
}

/// A piece of a conversation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transcript {
    /// The version of the state that it was read from; 0 when there is none.
    pub version: u64,
    /// How many messages the conversation has in all.
    pub length: u64,
    /// The number of the first message here; the conversation's first is 0.
    pub first: u64,
    /// The messages, oldest first.
    pub messages: Vec<Message>,
}

/// Another state for one conversation, instead of whatever there is.
#[derive(Debug, Clone)]
pub struct NewState {
    /// The conversation.
    pub conversation: String,
    /// The version that it replaces: 0 for none.
    pub replaces: u64,
    /// Its data.
    pub data: Value,
    /// The whole conversation.
    pub messages: Vec<Message>,
}

/// Other states for an agent, all of them or none.
#[derive(Debug, Clone)]
pub struct NewStates {
    /// The agent.
    pub agent: AgentId,
    /// Of which conversations.
    pub states: Vec<NewState>,
    /// All that it keeps in mind from now on; `None` leaves that as it is.
    pub memories: Option<Vec<Memory>>,
}

/// The part of the store that shows and sets the agents' states. An agent's own work goes by
/// [`State::checkpoint`](super::State::checkpoint) and [`State::finish`](super::State::finish).
pub trait AgentStates: Send + Sync + 'static {
    /// The conversations of which the agent has a state, the one that began last first.
    fn conversations(&self, agent: &AgentId, page: PageRequest) -> BoxFuture<'_, Result<Page<ConversationRow>>>;

    /// The newest messages before number `before` (before the end, without one), at most `limit`.
    fn transcript(&self, key: &CheckpointKey, before: Option<u64>, limit: u32) -> BoxFuture<'_, Result<Transcript>>;

    /// Sets states anew, in one transaction. A version only ever rises: whatever holds an earlier one knows that it is old.
    /// [`Error::Conflict`](super::Error::Conflict), with nothing changed, if a state is at another version by now, or if an
    /// execution of the agent runs, waits for people, or has made calls in an attempt that is to go on: it began with the
    /// state that there is.
    fn set_states(&self, states: NewStates) -> BoxFuture<'_, Result<()>>;
}
