//! What is asked of the store, and dead letters.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    execution::Failure,
    id::{AgentId, EventId, ExecutionId, NodeId, TraceId},
    money::MicroUsd,
    port::llm::Usage,
    status::ExecutionStatus,
};

/// Which executions are wanted.
#[derive(Debug, Clone, Default)]
pub struct ExecutionFilter {
    /// Of this agent.
    pub agent: Option<AgentId>,
    /// In one of these states; empty is any.
    pub status: Vec<ExecutionStatus>,
    /// Of this workflow.
    pub trace_id: Option<TraceId>,
}

/// Which dead letters are wanted.
#[derive(Debug, Clone, Default)]
pub struct DeadLetterFilter {
    /// Of this agent.
    pub agent: Option<AgentId>,
    /// Also those that were sent again.
    pub replayed: bool,
}

/// A dead letter on its way into the store.
#[derive(Debug, Clone)]
pub struct NewDeadLetter {
    /// The agent that it was meant for, if that is known.
    pub agent: Option<AgentId>,
    /// The queue it came from.
    pub queue: String,
    /// The bytes.
    pub body: Vec<u8>,
    /// Why.
    pub reason: Failure,
    /// How many attempts were made.
    pub attempts: u32,
    /// When the first attempt was made.
    pub first_at: Timestamp,
    /// The node that gave up.
    pub node: NodeId,
}

/// How finely spending is counted, in milliseconds: by quarters of an hour, because the midnight of every time zone begins
/// one. PostgreSQL's statements that settle divide by it in their own text.
pub const USAGE_BUCKET_MS: i64 = 15 * 60 * 1000;

/// What an agent spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Spent {
    /// Settled model calls.
    pub calls: u64,
    /// Their tokens.
    pub usage: Usage,
    /// The sum of the known prices.
    #[serde(rename = "cost_usd")]
    pub cost: MicroUsd,
}

/// A replayed dead letter.
#[derive(Debug, Clone)]
pub struct Replayed {
    /// The new event.
    pub event_id: EventId,
    /// The new execution, when the letter was one agent's.
    pub execution_id: Option<ExecutionId>,
}
