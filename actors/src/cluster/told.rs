//! What a node says next of itself: what changed since it last spoke, a bounded amount at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use greenroom_contract::{
    AgentId,
    port::operator::AgentView,
    tree::{Path, Place},
};

use super::{
    table::Face,
    words::{News, Word, pack},
};

/// So many places or agents in one broadcast, at most.
const PIECE: usize = 250;
/// So many broadcasts at a time; the rest is said next time.
const PIECES: usize = 16;

/// What was said so far.
pub(super) struct Told {
    boot: u64,
    seq: u64,
    places: BTreeMap<Path, Arc<Place>>,
    agents: BTreeMap<AgentId, AgentView>,
    begin: bool,
}

impl Told {
    pub(super) fn new(boot: u64) -> Self {
        Self { boot, seq: 0, places: BTreeMap::new(), agents: BTreeMap::new(), begin: true }
    }

    /// Everything is to be told anew.
    pub(super) fn again(&mut self) {
        self.begin = true;
        self.places.clear();
        self.agents.clear();
    }

    /// The next broadcasts; at least one, which is a sign of life.
    pub(super) fn next(&mut self, face: &Face, places: &[Arc<Place>], agents: &[AgentView]) -> Vec<Bytes> {
        let gone = self.forget_places(places);
        let agents_gone = self.forget_agents(agents);
        let said =
            |known: Option<&Arc<Place>>, place: &Arc<Place>| known.is_some_and(|known| Arc::ptr_eq(known, place));
        let places: Vec<&Arc<Place>> = places.iter().filter(|place| !said(self.places.get(&place.id), place)).collect();
        let agents: Vec<&AgentView> =
            agents.iter().filter(|agent| self.agents.get(&agent.name) != Some(*agent)).collect();
        let nothing: (&[&Arc<Place>], &[&AgentView]) = (&[], &[]);
        let mut pieces: Vec<_> = places.chunks(PIECE).map(|piece| (piece, nothing.1)).collect();
        pieces.extend(agents.chunks(PIECE).map(|piece| (nothing.0, piece)));
        if pieces.is_empty() {
            pieces.push(nothing);
        }
        let (all, mut out) = (pieces.len(), Vec::new());
        for (number, (places, agents)) in pieces.into_iter().take(PIECES).enumerate() {
            let mut news = News {
                face: face.clone(),
                boot: self.boot,
                seq: 0,
                begin: std::mem::take(&mut self.begin),
                end: number + 1 == all,
                places: Vec::new(),
                gone: if number == 0 { gone.clone() } else { Vec::new() },
                agents: Vec::new(),
                agents_gone: if number == 0 { agents_gone.clone() } else { Vec::new() },
            };
            self.say(&mut out, &mut news, places, agents);
        }
        out
    }

    /// Says a piece, in halves if it is too long.
    fn say<'a>(
        &mut self,
        out: &mut Vec<Bytes>,
        news: &mut News<&'a Place>,
        places: &[&'a Arc<Place>],
        agents: &[&AgentView],
    ) {
        news.places = places.iter().map(|place| &***place).collect();
        news.agents = agents.iter().copied().cloned().collect();
        news.seq = self.seq + 1;
        let (begin, end) = (news.begin, news.end);
        let next = frame(news);
        let packed = pack(&Word::News(Box::new(std::mem::replace(news, next))));
        match packed {
            Some(bytes) => {
                self.seq += 1;
                out.push(bytes);
            }
            None if places.len().max(agents.len()) > 1 => {
                let (places, agents) = (places.split_at(places.len() / 2), agents.split_at(agents.len() / 2));
                (news.begin, news.end) = (begin, false);
                self.say(out, news, places.0, agents.0);
                (news.begin, news.end) = (false, end);
                self.say(out, news, places.1, agents.1);
                return;
            }
            None => {
                tracing::warn!(place = ?places.first().map(|place| &place.id), "A place is too long to be told.");
                self.say(out, news, &[], &[]);
            }
        }
        self.places.extend(places.iter().map(|place| (place.id.clone(), Arc::clone(place))));
        self.agents.extend(agents.iter().map(|agent| (agent.name.clone(), AgentView::clone(agent))));
    }

    fn forget_places(&mut self, places: &[Arc<Place>]) -> Vec<Path> {
        let here: BTreeSet<&str> = places.iter().map(|place| place.id.as_str()).collect();
        let gone: Vec<Path> = self.places.keys().filter(|path| !here.contains(path.as_str())).cloned().collect();
        gone.iter().for_each(|path| drop(self.places.remove(path)));
        gone
    }

    fn forget_agents(&mut self, agents: &[AgentView]) -> Vec<AgentId> {
        let here: BTreeSet<&AgentId> = agents.iter().map(|agent| &agent.name).collect();
        let gone: Vec<AgentId> = self.agents.keys().filter(|name| !here.contains(name)).cloned().collect();
        gone.iter().for_each(|name| drop(self.agents.remove(name)));
        gone
    }
}

/// The same words without what they are about, for the second half: what was said once is not said again.
fn frame<'a>(news: &News<&'a Place>) -> News<&'a Place> {
    News {
        face: news.face.clone(),
        boot: news.boot,
        seq: news.seq,
        begin: news.begin,
        end: news.end,
        places: Vec::new(),
        gone: news.gone.clone(),
        agents: Vec::new(),
        agents_gone: news.agents_gone.clone(),
    }
}
