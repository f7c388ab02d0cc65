//! The end of an attempt, with everything that it leaves behind.

use std::time::Duration;

use serde_json::Value;

use super::outbox::Outgoing;
use crate::{
    call::CallResult,
    execution::{Failure, Settled},
    id::AgentId,
    plan::NewPlanRun,
    port::{llm::Message, memory::Remember},
    status::ExecutionStatus,
};

/// The end of an attempt, in one transaction with everything that it leaves behind.
#[derive(Debug, Clone)]
pub struct Finish {
    /// How it ended.
    pub conclusion: Conclusion,
    /// The last step's result, where it is not settled yet.
    pub settle: Option<Settled>,
    /// The agent's new state, for agents that keep one.
    pub checkpoint: Option<NewCheckpoint>,
    /// Events and replies to send.
    pub outbox: Vec<Outgoing>,
    /// The end of the call that the execution answers, if another agent asked for it.
    pub call: Option<CallResult>,
    /// What the agent is to keep in mind, in order: of two under one key the later counts.
    pub remembers: Vec<Remember>,
    /// How the plan run ended, where a coordinator ends.
    pub plan_run: Option<Box<NewPlanRun>>,
}

impl Finish {
    /// An end that leaves nothing behind.
    pub fn of(conclusion: Conclusion) -> Self {
        Self {
            conclusion,
            settle: None,
            checkpoint: None,
            outbox: Vec::new(),
            call: None,
            remembers: Vec::new(),
            plan_run: None,
        }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone)]
pub enum Conclusion {
    /// Well, with this answer.
    Succeeded(Value),
    /// Badly; another attempt with a fresh context begins after this long.
    Retry {
        /// Why it failed.
        failure: Failure,
        /// The wait.
        after: Duration,
    },
    /// For good, without success. Everything but `cancelled` becomes a dead letter.
    Ended {
        /// `failed`, `timed_out`, `cancelled` or `dead`.
        status: ExecutionStatus,
        /// Why.
        failure: Failure,
    },
}

/// A new version of an agent's state.
#[derive(Debug, Clone)]
pub struct NewCheckpoint {
    /// Whose, and which conversation.
    pub key: CheckpointKey,
    /// The version that it replaces: 0 for none. Another one in the store is [`Error::Conflict`](super::Error::Conflict).
    pub replaces: u64,
    /// Variables and memory.
    pub data: Value,
    /// The conversation's new messages; those before are not written again.
    pub append: Vec<Message>,
}

/// Whose state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CheckpointKey {
    /// The agent.
    pub agent: AgentId,
    /// The conversation; empty is the agent's own.
    pub conversation: String,
}

/// An agent's state at a version.
#[derive(Debug, Clone, Default)]
pub struct Checkpoint {
    /// 0 when there is none yet.
    pub version: u64,
    /// Variables and memory.
    pub data: Value,
    /// How many messages the conversation has in all.
    pub length: u64,
    /// The newest messages, oldest first, as many as were asked for.
    pub messages: Vec<Message>,
}
