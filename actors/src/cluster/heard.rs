//! What other nodes said of themselves, and whether something of it was missed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use greenroom_contract::{
    AgentId, NodeId,
    port::operator::AgentView,
    tree::{Change, ChangeKind, Feed, News as Told, Path, Place, change_of},
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
    /// Whether it was noticed that it is not heard any more.
    silent: bool,
    /// What was told anew so far; the rest is dropped at the end of the telling.
    retold: Option<(BTreeSet<Path>, BTreeSet<AgentId>)>,
}

impl Branch {
    pub(super) fn is_reachable(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) < UNHEARD
    }
}

/// What the others said.
pub(super) struct Heard {
    nodes: BTreeMap<NodeId, Branch>,
    /// Grows with everything that is heard, and with whoever is not heard any more.
    pub(super) writes: u64,
    /// What of it is worth telling, for whoever follows the cluster's tree.
    pub(super) feed: Feed,
}

impl Default for Heard {
    fn default() -> Self {
        Self { nodes: BTreeMap::new(), writes: 0, feed: Feed::starting_at(Timestamp::now()) }
    }
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
            let branch = Branch::new(news.face.clone(), news.boot, now, wall);
            if self.nodes.insert(node.clone(), branch).is_some() {
                self.feed.push(&node, Told::Left { at: wall });
            }
        }
        let Some(branch) = self.nodes.get_mut(&node) else { return false };
        if std::mem::take(&mut branch.silent) {
            self.feed.push(&node, Told::Node { at: wall, reachable: true });
        }
        branch.take(news, now, wall, &self.feed)
    }

    /// A node said goodbye.
    pub(super) fn left(&mut self, node: &NodeId) {
        self.writes += 1;
        if self.nodes.remove(node).is_some() {
            self.feed.push(node, Told::Left { at: Timestamp::now() });
        }
    }

    /// Every node that is not forgotten.
    pub(super) fn nodes(&mut self, now: Instant) -> impl Iterator<Item = &Branch> {
        self.judge(now);
        self.nodes.values()
    }

    /// Notices who is not heard any more, and forgets who was not for long. To be called now and then.
    pub(super) fn judge(&mut self, now: Instant) {
        let Self { nodes, feed, writes } = self;
        nodes.retain(|node, branch| {
            let silent = now.saturating_duration_since(branch.heard);
            if silent >= FORGOTTEN {
                *writes += 1;
                feed.push(node, Told::Left { at: Timestamp::now() });
            } else if silent >= UNHEARD && !std::mem::replace(&mut branch.silent, true) {
                *writes += 1;
                feed.push(node, Told::Node { at: Timestamp::now(), reachable: false });
            }
            silent < FORGOTTEN
        });
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
            // That it is heard is news.
            silent: true,
            retold: None,
        }
    }

    fn take(&mut self, news: News<Place>, now: Instant, wall: Timestamp, feed: &Feed) -> bool {
        (self.heard, self.heard_at, self.face) = (now, wall, news.face);
        if news.begin {
            self.synced = true;
            self.retold = Some(Default::default());
        } else if news.seq != self.seq + 1 {
            self.synced = false;
            self.whole = false;
        }
        self.seq = news.seq;
        let node = self.face.node.clone();
        let tell = |kind, was, place: Arc<Place>| {
            let change = Change { seq: 0, at: wall, kind, path: place.id.clone(), was, place };
            feed.push(&node, Told::Place(change));
        };
        let gone = |place: Arc<Place>| {
            if change_of(None, &place).is_some() {
                tell(ChangeKind::Gone, None, place);
            }
        };
        news.gone.iter().filter_map(|path| self.places.remove(path)).for_each(gone);
        for agent in &news.agents_gone {
            self.agents.remove(agent);
        }
        for place in news.places {
            if let Some((places, _)) = &mut self.retold {
                places.insert(place.id.clone());
            }
            let place = Arc::new(place);
            let before = self.places.insert(place.id.clone(), Arc::clone(&place));
            if let Some((kind, was)) = change_of(before.as_deref(), &place) {
                tell(kind, was, place);
            }
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
                self.places.extract_if(.., |path, _| !places.contains(path)).for_each(|(_, place)| gone(place));
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
