//! The state port: the store that is the truth.
//!
//! What every implementation promises, and the behaviour suite in `greenroom-state` checks:
//!
//! * **Durability.** A method that returned `Ok` has committed: `kill -9` of anything a moment later loses nothing of it.
//! * **Order.** Writes take effect in the order in which their futures were first polled.
//! * **Atomicity.** Each method is one transaction.
//! * **Fencing.** Every write that takes a [`Fence`] fails with [`Error::Fenced`] once another claim was made.
//! * **Scope.** An agent's checkpoint and conversation are reached only under that agent's id (R5.1).
//! * **Cancellation.** Dropping a future does not undo its work: it may still happen, wholly.
//! * **Time** is the store's own clock.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    BoxFuture,
    event::{Event, ReplyTo},
    execution::{Claimed, DeadLetter, Execution, Failure, Fence, Intended, Settled, Step},
    id::{AgentId, EventId, ExecutionId, NodeId, TraceId},
    money::MicroUsd,
    page::{Page, PageRequest},
    port::llm::{Message, Usage},
    status::ExecutionStatus,
};

/// A failed call to the store; each variant is a decision for the caller.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Another claim was made, or the execution has ended: stop working on it and write nothing more.
    #[error("the execution belongs to another claim now")]
    Fenced,
    /// There is no such row.
    #[error("{what} does not exist")]
    NotFound {
        /// What was looked for.
        what: String,
    },
    /// The same key was used for something else before.
    #[error("{what}")]
    Conflict {
        /// What clashes.
        what: String,
    },
    /// The store cannot be reached or cannot write. Nothing was promised; try again later.
    #[error("the store is unavailable: {reason}")]
    Unavailable {
        /// Why, for a person, with the place (file, address).
        reason: String,
    },
    /// What was read cannot be understood (a later version wrote it, or it is damaged).
    #[error("the store holds something unreadable: {what}")]
    Corrupt {
        /// What and where.
        what: String,
    },
}

/// The result of a call to the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

// ---- doors and outbox -----------------------------------------------------------------------------------------------

/// What goes out of the store.
#[derive(Debug, Clone)]
pub enum Outgoing {
    /// An event for the bus.
    Event {
        /// The event, published under its `event_type`.
        event: Event,
        /// Whether a queue must take it (commands to an agent). Such a row goes only when the receiver's inbox has the event.
        mandatory: bool,
    },
    /// A reply to a person.
    Reply {
        /// Where to.
        to: ReplyTo,
        /// The text, in Markdown.
        text: String,
        /// Whether it tells of a failure.
        is_error: bool,
        /// The workflow.
        trace_id: TraceId,
    },
}

/// The key of an outbox row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutboxId(pub i64);

/// A row that is due.
#[derive(Debug, Clone)]
pub struct OutboxRow {
    /// Its key.
    pub id: OutboxId,
    /// What goes out.
    pub outgoing: Outgoing,
    /// How many tries were made before.
    pub attempts: u32,
}

/// What became of a row that the relay took.
#[derive(Debug, Clone)]
pub enum OutboxOutcome {
    /// The bus confirmed it. A row whose event was mandatory stays until the receiver's inbox has it; others go.
    Published,
    /// It was delivered to a person.
    Delivered,
    /// It did not go out; due again after this long.
    Retry {
        /// How long to wait.
        after: Duration,
        /// Why.
        reason: String,
    },
    /// It can never go out: it becomes a dead letter.
    Dead(Failure),
}

/// A command that came in by a door.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The event.
    pub event: Event,
    /// The one agent that is meant, or none for an event that goes to whoever subscribed.
    pub agent: Option<AgentId>,
}

/// What the store says of a submission.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// The event as stored: the first one's, if this is a repetition.
    pub event: Event,
    /// Whether the same submission had been made before.
    pub repeated: bool,
}

// ---- inbox and claims -----------------------------------------------------------------------------------------------

/// A delivery on its way into the inbox.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// For whom.
    pub agent: AgentId,
    /// The agent's present version, on which the execution begins.
    pub version: String,
    /// The event.
    pub event: Event,
    /// The node that claims it in the same transaction, because it has a credit free; `None` leaves it queued.
    pub claim: Option<NodeId>,
}

/// What the inbox says of an arrival. The delivery may be taken off its queue in each case.
#[derive(Debug, Clone)]
pub enum Accepted {
    /// A new execution, queued.
    Queued(ExecutionId),
    /// A new execution, claimed.
    Claimed(Box<Claimed>),
    /// The agent has had this event before.
    Duplicate(ExecutionId),
}

/// Which executions of an agent a node wants.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The node.
    pub node: NodeId,
    /// The agent.
    pub agent: AgentId,
    /// At most so many.
    pub limit: u32,
    /// In strict order of arrival (continuous agents): nothing while an earlier one is unfinished.
    pub ordered: bool,
}

/// Why a claimed execution is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// It was stopped on purpose before its end (shutdown, reload): the same attempt goes on elsewhere.
    Unfinished,
    /// Its task died under it: counted as a crash; the same attempt goes on.
    Crashed,
}

// ---- finish ---------------------------------------------------------------------------------------------------------

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
    /// The version that it replaces: 0 for none. Another one in the store is [`Error::Conflict`].
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

// ---- questions ------------------------------------------------------------------------------------------------------

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

/// What an agent spent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    /// Settled model calls.
    pub calls: u64,
    /// Their tokens.
    pub usage: Usage,
    /// The sum of the known prices.
    pub cost: MicroUsd,
}

/// The store.
pub trait State: Send + Sync + 'static {
    // doors and outbox

    /// Takes a command or event in by a door: its outbox row is durable when this returns. A submission with an
    /// `event_id` that was seen before under the same `event_type` changes nothing and returns the first one; with another
    /// payload it is [`Error::Conflict`]. The same `event_id` under another topic is another submission: Slack tells of
    /// one message under two topics, and the inbox lets each subscriber have it once.
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<Submitted>>;

    /// Rows that are due, oldest first, leased to `node` so that no other relay takes them; a dead node's come free.
    fn claim_outbox(&self, node: &NodeId, limit: u32) -> BoxFuture<'_, Result<Vec<OutboxRow>>>;

    /// Says what became of rows that [`State::claim_outbox`] gave.
    fn settle_outbox(&self, outcomes: Vec<(OutboxId, OutboxOutcome)>) -> BoxFuture<'_, Result<()>>;

    /// Makes rows due again whose event was published but reached no inbox. Called at start and after each reconnect
    /// to the bus. Returns how many.
    fn redrive_outbox(&self) -> BoxFuture<'_, Result<u64>>;

    // inbox and claims

    /// Takes a delivery into the inbox: once for each agent and event.
    fn accept(&self, arrival: Arrival) -> BoxFuture<'_, Result<Accepted>>;

    /// Claims executions that are due: queued ones whose time has come, and running ones whose node's lease ran out
    /// (counted as a crash). Higher priority first, then older. Settled steps that a claim hands back are counted as replayed.
    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Vec<Claimed>>>;

    /// When the agent's earliest queued execution is due, and how many wait.
    fn backlog(&self, agent: &AgentId) -> BoxFuture<'_, Result<(u64, Option<Timestamp>)>>;

    /// Gives an execution back: queued, due at once, same attempt and journal.
    fn release(&self, fence: Fence, why: Release) -> BoxFuture<'_, Result<()>>;

    /// Renews the node's lease: until `ttl` from now its executions are its own.
    fn heartbeat(&self, node: &NodeId, ttl: Duration) -> BoxFuture<'_, Result<()>>;

    /// At start: everything that this node held before it died is queued again (counted as a crash). Returns how many.
    fn take_back(&self, node: &NodeId) -> BoxFuture<'_, Result<u64>>;

    // journal

    /// Settles the last step, if given, and intends the next, in one commit.
    fn journal(&self, fence: Fence, settle: Option<Settled>, intend: Option<Intended>) -> BoxFuture<'_, Result<()>>;

    /// Ends the attempt: outcome, last step, checkpoint and outbox rows together.
    fn finish(&self, fence: Fence, finish: Finish) -> BoxFuture<'_, Result<()>>;

    /// Asks a running or queued execution to end as `cancelled`. A queued one ends now; a running one ends now too and
    /// its claim is fenced. Returns whether there was something to cancel.
    fn cancel(&self, execution: ExecutionId, failure: Failure) -> BoxFuture<'_, Result<bool>>;

    // agents' own

    /// The latest state of an agent's conversation, with at most `messages` of its newest messages.
    fn checkpoint(&self, key: &CheckpointKey, messages: u32) -> BoxFuture<'_, Result<Checkpoint>>;

    /// Keeps a version of an agent's definition, so that an execution can finish on the one that it began with. Idempotent.
    fn save_version(&self, agent: &AgentId, version: &str, spec: Value) -> BoxFuture<'_, Result<()>>;

    /// A kept version.
    fn version(&self, agent: &AgentId, version: &str) -> BoxFuture<'_, Result<Option<Value>>>;

    /// What an agent spent since a moment.
    fn spent(&self, agent: &AgentId, since: Timestamp) -> BoxFuture<'_, Result<Spent>>;

    // questions

    /// One execution with its journal. One that a door took and that has not reached the inbox is shown as queued.
    fn execution(&self, id: ExecutionId) -> BoxFuture<'_, Result<Option<Execution>>>;

    /// Executions, newest first, without their journals.
    fn executions(&self, filter: ExecutionFilter, page: PageRequest) -> BoxFuture<'_, Result<Page<Execution>>>;

    /// The journal of an execution over all its attempts.
    fn steps(&self, id: ExecutionId) -> BoxFuture<'_, Result<Vec<Step>>>;

    /// Outbox rows of a workflow that have not gone yet, as `(kind, topic or reply kind, attempts, last error)`.
    fn pending(&self, trace_id: TraceId) -> BoxFuture<'_, Result<Vec<PendingRow>>>;

    // dead letters

    /// Writes a dead letter that came from the bus. The same one twice is written once.
    fn record_dead(&self, letter: NewDeadLetter) -> BoxFuture<'_, Result<i64>>;

    /// Dead letters, newest first.
    fn dead_letters(&self, filter: DeadLetterFilter, page: PageRequest) -> BoxFuture<'_, Result<Page<DeadLetter>>>;

    /// One dead letter.
    fn dead_letter(&self, id: i64) -> BoxFuture<'_, Result<Option<DeadLetter>>>;

    /// Sends a dead letter again: a new event with the same payload and trace to where it came from, in one transaction
    /// with the mark. Twice is [`Error::Conflict`]; one that is no event is [`Error::Conflict`] too.
    fn replay(&self, id: i64) -> BoxFuture<'_, Result<Replayed>>;

    /// Deletes a dead letter. Returns whether there was one.
    fn purge(&self, id: i64) -> BoxFuture<'_, Result<bool>>;

    /// Whether the store can write now, else why not.
    fn health(&self) -> BoxFuture<'_, Result<()>>;
}

/// A replayed dead letter.
#[derive(Debug, Clone)]
pub struct Replayed {
    /// The new event.
    pub event_id: EventId,
    /// The new execution, when the letter was one agent's.
    pub execution_id: Option<ExecutionId>,
}

/// An outbox row as a trace shows it.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct PendingRow {
    /// `event` or `reply`.
    pub kind: String,
    /// The topic, or the reply's kind.
    pub to: String,
    /// Tries so far.
    pub attempts: u32,
    /// Whether the bus has it and only the receiver's inbox is awaited.
    pub published: bool,
    /// Why the last try failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}
