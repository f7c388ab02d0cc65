//! The cluster as a node knows it: what doors ask.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use greenroom_contract::{
    AgentId, NodeId,
    execution::Failure,
    port::{
        bus::Bus,
        operator::{AgentView, NodeView},
    },
    status::AgentStatus,
    tree::{Feed, NodeTree, Place, assemble},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    commands::Asks,
    heard::{Branch, Heard, UNHEARD},
};

/// The code of an agent whose node is not heard any more.
pub(crate) const NODE_UNHEARD: &str = "node_unheard";

/// What a node says of itself in each broadcast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Face {
    /// Its name.
    pub node: NodeId,
    /// Its roles.
    pub roles: Vec<String>,
    /// Where its HTTP door is.
    pub addr: String,
    /// The program's version.
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
}

/// The cluster.
pub struct Cluster {
    pub(super) face: Face,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) asks: Asks,
    heard: Mutex<Heard>,
}

impl Cluster {
    /// A cluster of which nothing was heard yet.
    pub fn new(face: Face, bus: Arc<dyn Bus>) -> Self {
        Self { face, bus, asks: Asks::default(), heard: Mutex::default() }
    }

    /// What this node says of itself.
    pub fn face(&self) -> &Face {
        &self.face
    }

    /// What is worth telling of what is heard of others.
    pub(crate) fn feed(&self) -> Feed {
        self.heard().feed.clone()
    }

    /// Grows with everything that is heard of others.
    pub(crate) fn writes(&self) -> u64 {
        self.heard().writes
    }

    /// The branches of the other nodes, and whether all of them are whole and reachable.
    pub(crate) fn trees(&self) -> (bool, Vec<NodeTree>) {
        let now = Instant::now();
        // Only references are taken under the lock; the trees are made after it.
        let seen: Vec<Seen> = {
            let mut heard = self.heard();
            let seen = |branch: &Branch| Seen {
                face: branch.face.clone(),
                reachable: branch.is_reachable(now),
                whole: branch.whole,
                version: branch.seq,
                places: branch.places.values().cloned().collect(),
            };
            heard.nodes(now).map(seen).collect()
        };
        let complete = seen.iter().all(|seen| seen.reachable && seen.whole);
        (complete, seen.into_iter().map(Seen::tree).collect())
    }

    /// The agents of the other nodes. Those of a node that is not heard any more are shown as unavailable.
    pub(crate) fn agents(&self) -> Vec<AgentView> {
        let now = Instant::now();
        let mut heard = self.heard();
        let mut agents = Vec::new();
        for branch in heard.nodes(now) {
            agents.extend(branch.agents.values().cloned().map(|agent| shown(branch, agent, now)));
        }
        agents
    }

    /// An agent as the other nodes show it that run it. One of a node that is not heard any more is shown as unavailable.
    pub(crate) fn agent(&self, name: &AgentId) -> Vec<AgentView> {
        let now = Instant::now();
        let mut heard = self.heard();
        let views =
            heard.nodes(now).filter_map(|branch| branch.agents.get(name).cloned().map(|view| shown(branch, view, now)));
        views.collect()
    }

    /// The other nodes that run an agent and are heard.
    pub(crate) fn who_runs(&self, agent: &AgentId) -> Vec<NodeId> {
        let now = Instant::now();
        let mut heard = self.heard();
        let runs = heard.nodes(now).filter(|branch| branch.is_reachable(now) && branch.agents.contains_key(agent));
        runs.map(|branch| branch.face.node.clone()).collect()
    }

    /// The other nodes.
    pub(crate) fn nodes(&self) -> Vec<NodeView> {
        let now = Instant::now();
        let mut heard = self.heard();
        heard.nodes(now).map(|branch| branch_view(branch, now)).collect()
    }

    pub(super) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is needed of a branch to make its tree.
struct Seen {
    face: Face,
    reachable: bool,
    whole: bool,
    version: u64,
    places: Vec<Arc<Place>>,
}

impl Seen {
    fn tree(self) -> NodeTree {
        let Self { face, reachable, version, places, .. } = self;
        let root = assemble(places).unwrap_or_else(|| {
            let mut root = Place::new("", "node", AgentStatus::Starting, face.started_at);
            root.name = face.node.to_string();
            root
        });
        NodeTree { node: face.node, roles: face.roles, reachable, version, root }
    }
}

fn shown(branch: &Branch, mut agent: AgentView, now: Instant) -> AgentView {
    if !branch.is_reachable(now) {
        agent.status = AgentStatus::Unavailable;
        let why = format!("node {} has not been heard for {} s", branch.face.node, UNHEARD.as_secs());
        agent.reason = Some(Failure::new(NODE_UNHEARD, why));
    }
    agent
}

fn branch_view(branch: &Branch, now: Instant) -> NodeView {
    let agents = branch.agents.values();
    NodeView {
        running: agents.map(|agent| agent.running).sum(),
        agents: branch.agents.len() as u32,
        reachable: branch.is_reachable(now),
        heard_at: Some(branch.heard_at),
        ..view(&branch.face)
    }
}

/// A node of which nothing but its face is known.
pub(crate) fn view(face: &Face) -> NodeView {
    NodeView {
        node: face.node.clone(),
        roles: face.roles.clone(),
        addr: Some(face.addr.clone()),
        version: Some(face.version.clone()),
        started_at: Some(face.started_at),
        reachable: true,
        heard_at: None,
        lease_until: None,
        lease_alive: None,
        agents: 0,
        running: 0,
    }
}
