//! Calls between agents.

use std::time::Duration;

use super::Result;
use crate::{
    BoxFuture,
    call::CallResult,
    event::Event,
    id::{AgentId, ExecutionId, TraceId},
};

/// A call on its way into the store.
#[derive(Debug, Clone)]
pub struct NewCall {
    /// The step of the claimed attempt that asks. It stays intended until the end of the call settles it.
    pub seq: u32,
    /// Who is asked.
    pub agent: AgentId,
    /// The event that asks, for that agent's queue.
    pub event: Event,
    /// How long there is for an answer.
    pub within: Duration,
}

impl NewCall {
    /// The execution that comes of it.
    pub fn execution(&self) -> ExecutionId {
        ExecutionId::of(&self.agent, self.event.event_id)
    }
}

/// An open call whose answer nobody waits for any more, or for which it is too late.
#[derive(Debug, Clone, PartialEq)]
pub struct StaleCall {
    /// The execution that was to answer.
    pub execution: ExecutionId,
    /// Whose it is.
    pub agent: AgentId,
    /// The caller.
    pub caller: ExecutionId,
    /// Its agent.
    pub caller_agent: AgentId,
    /// The workflow.
    pub trace_id: TraceId,
    /// Whether the caller still waits: the call is late. Otherwise the caller has ended, or has begun another attempt.
    pub is_awaited: bool,
}

/// The calls of the store. [`Clarifications::wait`](super::Clarifications::wait) opens them. A call ends once: with the end of
/// the execution that it asked for, however that ends ([`Finish::call`](super::Finish::call), a cancellation, a command that can never
/// be delivered), or by [`Calls::end_call`]. Its end settles the caller's step and makes the caller due, also while others
/// of its calls are open. Calls are deleted with their caller.
pub trait Calls: Send + Sync + 'static {
    /// Open calls that are past their time, or whose caller waits no more; at most `limit`.
    fn stale_calls(&self, limit: u32) -> BoxFuture<'_, Result<Vec<StaleCall>>>;

    /// Ends a call. Returns whether it was open.
    fn end_call(&self, result: CallResult) -> BoxFuture<'_, Result<bool>>;
}
