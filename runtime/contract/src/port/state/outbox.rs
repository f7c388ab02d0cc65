//! Doors and outbox: what comes in durably, and what goes out.

use std::time::Duration;

use crate::{
    event::{Event, ReplyTo},
    execution::Failure,
    id::{AgentId, ClarificationId, TraceId},
};

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
        /// The question that is to be shown as it is when the reply goes out, with `text` where it cannot be.
        card: Option<ClarificationId>,
        /// The workflow.
        trace_id: TraceId,
    },
}

/// The key of an outbox row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutboxId(pub i64);

/// Which rows are wanted, and how many at most. Events and replies go by different hands: a person's chat may be slow for hours,
/// and the bus must not wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Events, for the bus.
    Events(u32),
    /// Replies, for people.
    Replies(u32),
}

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
