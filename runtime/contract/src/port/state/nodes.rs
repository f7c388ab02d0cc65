//! The nodes of a cluster, as the store knows them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::NodeId;

/// A node's lease: while it runs, the node's executions are its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLease {
    /// The node.
    pub node: NodeId,
    /// Until when its lease runs, or when it ran out.
    pub until: Timestamp,
    /// Whether it runs now, by the store's clock.
    pub alive: bool,
}
