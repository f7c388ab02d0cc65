//! Inbox and claims: a delivery becomes an execution, and a node's.

use crate::{
    event::Event,
    execution::Claimed,
    id::{AgentId, ExecutionId, NodeId},
};

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
    /// Also those that run on a node whose lease has run out.
    pub lost: bool,
    /// Whether the agent's queue leads to this node. What waits in order is left to the node that it leads to; others take it
    /// when nobody has for [`LEFT_TO_THE_QUEUE`], when its last owner is dead or gone, or when they were that owner.
    pub here: bool,
}

/// For how long an execution that waits in order, and whose turn it is, is left to the node that its agent's queue leads to.
pub const LEFT_TO_THE_QUEUE: std::time::Duration = std::time::Duration::from_secs(3);

/// Why a claimed execution is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// It was stopped on purpose before its end (shutdown, reload): the same attempt goes on elsewhere.
    Unfinished,
    /// Its task died under it: counted as a crash; the same attempt goes on.
    Crashed,
}
