//! What nodes say to each other: JSON under a few topics.

use bytes::Bytes;
use greenroom_contract::{AgentId, ExecutionId, NodeId, port::bus::MAX_BROADCAST_BYTES, port::operator::AgentView};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::table::Face;

/// Under this topic nodes tell how they are.
pub(super) const TREE: &str = "cluster.tree";
/// Under this topic nodes ask each other to do something, and answer.
pub(super) const COMMAND: &str = "cluster.command";
/// Under this topic nodes tell which executions ended.
pub(super) const ENDED: &str = "cluster.ended";
/// All of them.
pub(super) const ALL: &str = "cluster.*";

/// A piece of what a node tells of itself, in the order of `seq`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct News<P> {
    /// Who speaks.
    pub(super) face: Face,
    /// Another life of the node has another number.
    pub(super) boot: u64,
    /// Rises by one: a gap means that something was missed.
    pub(super) seq: u64,
    /// Everything is told anew from here.
    #[serde(default)]
    pub(super) begin: bool,
    /// Everything has been told.
    #[serde(default)]
    pub(super) end: bool,
    /// Places that changed, without their children.
    pub(super) places: Vec<P>,
    /// Places that are gone.
    #[serde(default)]
    pub(super) gone: Vec<String>,
    /// Agents that changed.
    #[serde(default)]
    pub(super) agents: Vec<AgentView>,
    /// Agents that are not here any more.
    #[serde(default)]
    pub(super) agents_gone: Vec<AgentId>,
}

/// What is said under [`TREE`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word<P> {
    /// How a node is.
    News(Box<News<P>>),
    /// Please tell everything anew: this node, or each one.
    Ask(Option<NodeId>),
    /// This node ends.
    Goodbye(NodeId),
}

/// What a node is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verb {
    /// Start an agent afresh.
    Restart(AgentId),
    /// Hold an agent back.
    Pause(AgentId),
    /// Let an agent go on.
    Resume(AgentId),
    /// Abort the task of an execution that was cancelled in the store.
    Cancel(AgentId, ExecutionId),
    /// Look at the schedules: an operator did something to one.
    Agenda,
}

/// What is said under [`COMMAND`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// Do this, and say that you did.
    Do { id: String, by: NodeId, verb: Verb },
    /// It is done here.
    Done { id: String, node: NodeId },
}

/// Executions that ended on the speaking node.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) by: NodeId,
    pub(super) ids: Vec<ExecutionId>,
}

/// As bytes; `None` if it is too long for a broadcast.
pub(super) fn pack(word: &impl Serialize) -> Option<Bytes> {
    let bytes = serde_json::to_vec(word).ok()?;
    (bytes.len() <= MAX_BROADCAST_BYTES).then(|| Bytes::from(bytes))
}

/// From bytes. Words of another version are passed over.
pub(super) fn unpack<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).inspect_err(|error| tracing::debug!(%error, "A broadcast is not understood.")).ok()
}
