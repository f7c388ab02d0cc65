//! Executions and their journal: the records that the store keeps and the API shows.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    event::{Event, Priority},
    id::{AgentId, EventId, ExecutionId, NodeId, TraceId},
    money::MicroUsd,
    port::llm::Usage,
    status::{ExecutionStatus, StepStatus},
};

/// What a second call of the same step would do. It decides what happens to a call that a crash interrupted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It changes nothing outside: call again.
    None,
    /// It may be repeated without harm: call again.
    Idempotent,
    /// The other side recognises the idempotency key: call again with the same key.
    Keyed,
    /// It must not happen twice: mark the step `unknown` and let a person decide. The default for tools that say nothing.
    #[default]
    AtMostOnce,
}

impl Effect {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Idempotent => "idempotent",
            Self::Keyed => "keyed",
            Self::AtMostOnce => "at_most_once",
        }
    }
}

impl std::str::FromStr for Effect {
    type Err = crate::status::UnknownStatus;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::None),
            "idempotent" => Ok(Self::Idempotent),
            "keyed" => Ok(Self::Keyed),
            "at_most_once" => Ok(Self::AtMostOnce),
            _ => Err(crate::status::UnknownStatus {
                value: text.to_owned(),
                expected: "none idempotent keyed at_most_once",
            }),
        }
    }
}

/// What kind of call a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// A call to a model.
    Llm,
    /// A call to a tool.
    Tool,
    /// An event that the agent sends; it goes out with the transaction that finishes the execution.
    Emit,
    /// A question to people that the runtime asks of its own accord.
    Ask,
    /// A call of another agent.
    Agent,
    /// What a behaviour saw of the world at a moment, so that it sees the same when it runs again.
    Note,
}

impl StepKind {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Llm => "llm",
            Self::Tool => "tool",
            Self::Emit => "emit",
            Self::Ask => "ask",
            Self::Agent => "agent",
            Self::Note => "note",
        }
    }

    /// The inverse of [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "llm" => Some(Self::Llm),
            "tool" => Some(Self::Tool),
            "emit" => Some(Self::Emit),
            "ask" => Some(Self::Ask),
            "agent" => Some(Self::Agent),
            "note" => Some(Self::Note),
            _ => None,
        }
    }
}

/// Who may write: the execution under the epoch of its claim. A write whose epoch is no longer the newest is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The execution.
    pub execution: ExecutionId,
    /// The claim under which the caller works.
    pub epoch: u64,
}

/// A step before its call: durable before the call is made.
#[derive(Debug, Clone)]
pub struct Intended {
    /// The attempt that it belongs to; each attempt has a journal of its own.
    pub attempt: u32,
    /// Its position in the attempt, from 0.
    pub seq: u32,
    /// What kind of call.
    pub kind: StepKind,
    /// The model or tool.
    pub name: String,
    /// SHA-256 of the request, in hex. On resume another hash at the same position is a fault, not a call.
    pub request_hash: String,
    /// The key by which the other side recognises a repetition.
    pub idempotency_key: String,
    /// What a second call would do.
    pub effect: Effect,
}

/// A step after its call: durable before the next one.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The attempt.
    pub attempt: u32,
    /// The position.
    pub seq: u32,
    /// [`StepStatus::Settled`], [`StepStatus::Failed`] or [`StepStatus::Unknown`].
    pub status: StepStatus,
    /// What the call returned, in the shape that its kind defines; it is what a resume replays.
    pub result: Value,
    /// Tokens, for model calls.
    pub usage: Option<Usage>,
    /// The price, if it is known.
    pub cost: Option<MicroUsd>,
    /// How long the call took, in milliseconds.
    pub duration_ms: u64,
}

/// A journaled call as the store keeps it and the API shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Step {
    /// The attempt.
    pub attempt: u32,
    /// The position in the attempt, from 0.
    pub seq: u32,
    /// What kind of call.
    pub kind: StepKind,
    /// The model or tool.
    pub name: String,
    /// How far it is.
    pub status: StepStatus,
    /// What a second call would do.
    pub effect: Effect,
    /// SHA-256 of the request, in hex.
    pub request_hash: String,
    /// The key by which the other side recognises a repetition.
    pub idempotency_key: String,
    /// What the call returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The price; absent when it is unknown or there is none.
    #[serde(rename = "cost_usd", skip_serializing_if = "Option::is_none")]
    pub cost: Option<MicroUsd>,
    /// How many times a resume took the result from here instead of calling (and paying) again.
    pub replays: u32,
    /// When the intention was written.
    pub intended_at: Timestamp,
    /// How long the call took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// Why an attempt or an execution failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A stable word, for example `provider_unavailable`, `timed_out`, `panicked`, `tool_failed`.
    pub code: String,
    /// What happened, for a person; never a secret.
    pub message: String,
}

impl Failure {
    /// A failure from its code and message.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// What a node works on: an execution as its claim returned it, with all that a resume needs.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The execution and the epoch under which every write must be made.
    pub fence: Fence,
    /// Whose it is.
    pub agent: AgentId,
    /// The agent's version (spec hash) on which it began.
    pub version: String,
    /// The event that it handles.
    pub event: Event,
    /// The attempt, from 1.
    pub attempt: u32,
    /// How many times its process or task died under it.
    pub crashes: u32,
    /// The steps of this attempt so far, in order; empty for a new attempt.
    pub journal: Vec<Step>,
}

/// An execution as the API shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Execution {
    /// Its id.
    #[serde(rename = "execution_id")]
    pub id: ExecutionId,
    /// Whose it is.
    pub agent: AgentId,
    /// The event that it handles.
    pub event_id: EventId,
    /// The event's topic.
    pub event_type: String,
    /// The workflow.
    pub trace_id: TraceId,
    /// How far it is.
    pub status: ExecutionStatus,
    /// The attempt, from 1 (0 before the first).
    pub attempt: u32,
    /// The number of its claims.
    pub epoch: u64,
    /// How many times its process or task died under it.
    pub crashes: u32,
    /// The node that has it, or had it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// How urgent it is.
    pub priority: Priority,
    /// The door or agent that the event came from.
    pub source: String,
    /// What it was asked.
    pub input: Value,
    /// What it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why it failed, or why its last attempt did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// The sum of the known prices of its steps over all attempts; absent when none is known.
    #[serde(rename = "cost_usd", skip_serializing_if = "Option::is_none")]
    pub cost: Option<MicroUsd>,
    /// What resumes took from the journal instead of paying again.
    #[serde(rename = "saved_usd", skip_serializing_if = "Option::is_none")]
    pub saved: Option<MicroUsd>,
    /// When the inbox took it.
    pub created_at: Timestamp,
    /// When its first claim was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// When its next attempt is due, while it is queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_at: Option<Timestamp>,
    /// The journal, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<Step>>,
}

/// What could not be done, kept with its way home.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its id.
    pub id: i64,
    /// The agent that it was meant for, if that is known.
    pub agent: Option<AgentId>,
    /// The queue it came from.
    pub queue: String,
    /// The execution that gave up, if it got that far.
    pub execution_id: Option<ExecutionId>,
    /// The event, if it can be read.
    pub event: Option<Value>,
    /// The bytes as text, if they are not an event.
    pub raw: Option<String>,
    /// The workflow, if it is known.
    pub trace_id: Option<TraceId>,
    /// Why.
    pub reason: Failure,
    /// How many attempts were made.
    pub attempts: u32,
    /// The node that gave up.
    pub node: Option<NodeId>,
    /// When the first attempt was made.
    pub first_at: Timestamp,
    /// When it was given up.
    pub dead_at: Timestamp,
    /// When an operator sent it again.
    pub replayed_at: Option<Timestamp>,
    /// The execution or event that carries the replay.
    pub replayed_as: Option<String>,
}
