//! Replies: the way back to a person.

use std::time::Duration;

use crate::{
    BoxFuture,
    event::ReplyTo,
    id::{ClarificationId, ExecutionId, TraceId},
};

/// An answer on its way out. `id` stays the same over retries.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The outbox row's key.
    pub id: String,
    /// Where to.
    pub to: ReplyTo,
    /// The text, in Markdown.
    pub text: String,
    /// Whether it tells of a failure.
    pub is_error: bool,
    /// The question that it shows: whoever sends it looks how the question is and makes its message agree.
    pub card: Option<ClarificationId>,
    /// The workflow.
    pub trace_id: TraceId,
}

/// A reply that did not go out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Try again, not before `retry_after`.
    #[error("the reply could not be delivered yet: {reason}")]
    Retry {
        /// Why.
        reason: String,
        /// How long the other side asks to wait.
        retry_after: Option<Duration>,
    },
    /// It can never be delivered (bad address, expired, refused).
    #[error("the reply cannot be delivered: {reason}")]
    Undeliverable {
        /// Why.
        reason: String,
    },
}

/// Sends replies. One implementation for each kind of [`ReplyTo`], chosen by the node.
pub trait Replies: Send + Sync + 'static {
    /// Sends one reply, within its own deadline.
    fn send(&self, reply: Reply) -> BoxFuture<'_, Result<(), Error>>;
}

/// What the person may see who waits for an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It is at work.
    Working,
    /// It waits for somebody's answer.
    Waiting,
    /// It is not at work any more.
    Over,
}

/// Shows people that an agent is at work for them. A hint and no promise: whoever gives a sign never waits for it, and it may
/// be lost.
pub trait Signs: Send + Sync + 'static {
    /// Gives a sign where an answer would go. Returns at once.
    fn give(&self, to: &ReplyTo, execution: ExecutionId, sign: Sign);

    /// Shows what the model says while it says it, until the execution is over or waits: its answer comes by itself.
    fn say(&self, to: &ReplyTo, execution: ExecutionId, text: &str) {
        let _ = (to, execution, text);
    }
}

/// Shows nobody anything.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSigns;

impl Signs for NoSigns {
    fn give(&self, _: &ReplyTo, _: ExecutionId, _: Sign) {}
}
