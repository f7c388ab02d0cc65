//! What other nodes said of themselves, and whether something of it was missed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use greenroom_contract::{
    AgentId, NodeId,
    port::operator::AgentView,
    tree::{Path, Place},
};
use jiff::Timestamp;
use tokio::time::Instant;

use super::{table::Face, words::News};

/// A node that was not heard for so long counts as unreachable; what it said last is still shown.
pub const UNHEARD: Duration = Duration::from_secs(15);
/// A node that was not heard for so long is forgotten. One that said goodbye is forgotten at once.
pub const FORGOTTEN: Duration = Duration::from_secs(600);
/// How often a node is asked at most to tell everything anew.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// What one node said.
pub(super) struct Branch {
    pub(super) face: Face,
    pub(super) heard: Instant,
    pub(super) heard_at: Timestamp,
    /// Whether everything was heard, without a gap.
    pub(super) whole: bool,
    pub(super) seq: u64,
    pub(super) places: BTreeMap<Path, Arc<Place>>,
    pub(super) agents: BTreeMap<AgentId, AgentView>,
    boot: u64,
    /// Whether nothing was missed since everything was begun to be told.
    synced: bool,
    asked: Option<Instant>,
    /// What was told anew so far; the rest is dropped at the end of the telling.
    retold: Option<(BTreeSet<Path>, BTreeSet<AgentId>)>,
}

impl Branch {
    pub(super) fn is_reachable(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) < UNHEARD
    }
}

/// What the others said.
#[derive(Default)]
pub(super) struct Heard {
    nodes: BTreeMap<NodeId, Branch>,
    /// Grows with everything that is heard.
    pub(super) writes: u64,
}

impl Heard {
    /// Takes news in. Returns whether the node is to be asked to tell everything anew, because something was missed.
    pub(super) fn take(&mut self, news: News<Place>, now: Instant, wall: Timestamp) -> bool {
        self.writes += 1;
        let node = news.face.node.clone();
        if self.nodes.get(&node).is_some_and(|known| news.boot < known.boot) {
            // Late words of a life that is over.
            return false;
        }
        if self.nodes.get(&node).is_none_or(|known| news.boot > known.boot) {
            self.nodes.insert(node.clone(), Branch::new(news.face.clone(), news.boot, now, wall));
        }
        let Some(branch) = self.nodes.get_mut(&node) else { return false };
        branch.take(news, now, wall)
    }

    /// A node said goodbye.
    pub(super) fn left(&mut self, node: &NodeId) {
        self.writes += 1;
        self.nodes.remove(node);
    }

    /// Every node that is not forgotten.
    pub(super) fn nodes(&mut self, now: Instant) -> impl Iterator<Item = &Branch> {
        self.nodes.retain(|_, branch| now.saturating_duration_since(branch.heard) < FORGOTTEN);
        self.nodes.values()
    }
}

impl Branch {
    fn new(face: Face, boot: u64, now: Instant, wall: Timestamp) -> Self {
        Self {
            face,
            heard: now,
            heard_at: wall,
            whole: false,
            seq: 0,
            places: BTreeMap::new(),
            agents: BTreeMap::new(),
            boot,
            synced: false,
            asked: None,
            retold: None,
        }
    }

    fn take(&mut self, news: News<Place>, now: Instant, wall: Timestamp) -> bool {
        (self.heard, self.heard_at, self.face) = (now, wall, news.face);
        if news.begin {
            self.synced = true;
            self.retold = Some(Default::default());
        } else if news.seq != self.seq + 1 {
            self.synced = false;
            self.whole = false;
        }
        self.seq = news.seq;
        for path in &news.gone {
            self.places.remove(path);
        }
        for agent in &news.agents_gone {
            self.agents.remove(agent);
        }
        for place in news.places {
            if let Some((places, _)) = &mut self.retold {
                places.insert(place.id.clone());
            }
            self.places.insert(place.id.clone(), Arc::new(place));
        }
        for agent in news.agents {
            if let Some((_, agents)) = &mut self.retold {
                agents.insert(agent.name.clone());
            }
            self.agents.insert(agent.name.clone(), agent);
        }
        if news.end && self.synced {
            self.whole = true;
            if let Some((places, agents)) = self.retold.take() {
                self.places.retain(|path, _| places.contains(path));
                self.agents.retain(|name, _| agents.contains(name));
            }
        }
        let ask = !self.synced && self.asked.is_none_or(|asked| now.saturating_duration_since(asked) >= ASK_AGAIN);
        if ask {
            self.asked = Some(now);
        }
        ask
    }
}
