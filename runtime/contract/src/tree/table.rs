//! The table: places by path, and the ring of their changes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::{
    Changes, Path, Place,
    branch::{branch, in_tree_order},
    face::{EXECUTION, Face},
    json,
    ring::{ChangeKind, Ring},
};
use crate::{
    execution::Failure,
    id::{NodeId, TraceId},
    status::AgentStatus,
};

/// How long the dead stay visible.
const GRAVE: SignedDuration = SignedDuration::from_secs(60);

/// The table of one node. Cheap to clone; all clones are the same table.
#[derive(Debug, Clone)]
pub struct Table {
    inner: Arc<RwLock<Inner>>,
    newest: Arc<watch::Sender<u64>>,
}

#[derive(Debug)]
struct Inner {
    /// Shared with the ring and with readers: a write copies a place only while one of them still holds it.
    places: BTreeMap<Path, Slot>,
    ring: Ring,
    /// Counts every write, also those that the ring does not take.
    writes: u64,
    /// Who ended when, the oldest first.
    graves: VecDeque<(Timestamp, Path)>,
}

#[derive(Debug)]
struct Slot {
    place: Arc<Place>,
    buried: Option<Timestamp>,
}

impl Table {
    /// A table with its root, the node.
    pub fn new(node: &NodeId) -> Self {
        let now = Timestamp::now();
        let mut root = Place::new("", "node", AgentStatus::Running, now);
        root.name = node.to_string();
        let ring = Ring::starting_at(now);
        let newest = Arc::new(watch::Sender::new(ring.newest()));
        let writes = ring.newest();
        let places = BTreeMap::from([(String::new(), Slot { place: Arc::new(root), buried: None })]);
        let inner = Inner { places, ring, writes, graves: VecDeque::new() };
        Self { inner: Arc::new(RwLock::new(inner)), newest }
    }

    /// Enters a place, or starts its next generation. A path's parent is the path without its last part.
    pub fn enter(&self, path: &str, kind: &str, status: AgentStatus) {
        self.write(|inner| {
            let now = Timestamp::now();
            let (place, was) = match inner.places.get_mut(path) {
                Some(slot) => {
                    slot.buried = None;
                    let place = Arc::make_mut(&mut slot.place);
                    let was = place.status;
                    place.generation += 1;
                    place.started_at = now;
                    place.work = None;
                    place.passivated = false;
                    place.set_status(status, now);
                    (Arc::clone(&slot.place), (was != status).then_some(was))
                }
                None => {
                    let place = Arc::new(Place::new(path, kind, status, now));
                    inner.places.insert(path.to_owned(), Slot { place: Arc::clone(&place), buried: None });
                    (place, None)
                }
            };
            inner.note(now, ChangeKind::Entered, was, place);
        });
    }

    /// Changes a place, if it is there. The change must be quick: others wait for it.
    pub fn update(&self, path: &str, change: impl FnOnce(&mut Place)) {
        self.write(|inner| {
            let Some(slot) = inner.places.get_mut(path) else { return };
            let place = Arc::make_mut(&mut slot.place);
            let before = Face::of(place);
            change(place);
            let after = Face::of(place);
            if before != after {
                let now = Timestamp::now();
                if before.status != after.status && before.since == after.since {
                    place.since = now;
                }
                let was = (before.status != after.status).then_some(before.status);
                let place = Arc::clone(&slot.place);
                inner.note(now, after.differs_from(&before), was, place);
            }
        });
    }

    /// Sets a place's status, and the moment of the change if it is one.
    pub fn status(&self, path: &str, status: AgentStatus) {
        // Most often it is what it was, and then nobody has to wait.
        if self.read().places.get(path).is_some_and(|slot| slot.place.status != status) {
            self.update(path, |place| place.status = status);
        }
    }

    /// Remembers a failure.
    pub fn failed(&self, path: &str, failure: Failure, trace_id: Option<TraceId>) {
        self.update(path, |place| place.remember(failure, trace_id, Timestamp::now()));
    }

    /// Says what waits for the place, of how much it can take, and since when the oldest waits.
    pub fn inbox(&self, path: &str, depth: u64, capacity: Option<u64>, oldest_at: Option<Timestamp>) {
        self.update(path, |place| {
            place.inbox = depth;
            place.inbox_capacity = capacity;
            place.inbox_oldest_at = oldest_at;
        });
    }

    /// Marks a place and everything under it as gone: it stays visible as `stopped` for 60 s.
    pub fn bury(&self, path: &str) {
        self.write(|inner| {
            let now = Timestamp::now();
            for path in inner.paths_under(path) {
                let Some(slot) = inner.places.get_mut(&path) else { continue };
                if slot.buried.is_some() {
                    continue;
                }
                slot.buried = Some(now);
                let place = Arc::make_mut(&mut slot.place);
                let was = (place.status != AgentStatus::Stopped).then_some(place.status);
                place.work = None;
                place.set_status(AgentStatus::Stopped, now);
                let place = Arc::clone(&slot.place);
                inner.graves.push_back((now, path));
                inner.note(now, ChangeKind::Left, was, place);
            }
            inner.sweep(now);
        });
    }

    /// Takes a place and everything under it out at once: for executions, of which there are many.
    pub fn leave(&self, path: &str) {
        self.write(|inner| {
            for path in inner.paths_under(path) {
                inner.remove(&path, None);
            }
        });
    }

    /// A copy of one place, without its children.
    pub fn place(&self, path: &str) -> Option<Place> {
        self.read().places.get(path).map(|slot| Place::clone(&slot.place))
    }

    /// Every place, without its children. A place that did not change is the same `Arc` as before.
    pub fn places(&self) -> Vec<Arc<Place>> {
        self.sweep(Timestamp::now());
        self.read().places.values().map(|slot| Arc::clone(&slot.place)).collect()
    }

    /// A place and everything under it, each without its children, found without walking the rest of the table.
    pub fn places_under(&self, path: &str) -> Vec<Arc<Place>> {
        let inner = self.read();
        inner.paths_under(path).iter().filter_map(|path| Some(Arc::clone(&inner.places.get(path)?.place))).collect()
    }

    /// The whole branch of this node.
    pub fn snapshot(&self) -> Place {
        self.snapshot_at().1
    }

    /// The whole branch of this node, with the number of the newest change that is in it.
    pub fn snapshot_at(&self) -> (u64, Place) {
        let now = Timestamp::now();
        let (version, places) = self.in_order(now);
        let root = branch(&places, now);
        debug_assert!(root.is_some(), "the root is entered at the start and never leaves");
        (version, root.unwrap_or_else(|| Place::new("", "node", AgentStatus::Stopped, now)))
    }

    /// The [`super::Tree`] of this node alone, as JSON: the same as by way of [`Table::snapshot_at`], many times as fast.
    pub fn json(&self, node: &NodeId, roles: &[String]) -> Vec<u8> {
        let now = Timestamp::now();
        let (version, places) = self.in_order(now);
        let mut out = Vec::new();
        // Every field serialises: maps have string keys and no value refuses.
        let written = json::write_tree(node, roles, version, &places, now, &mut out);
        debug_assert!(written.is_ok(), "{written:?}");
        out
    }

    /// Every place in tree order, with the number of the newest change that is in them.
    pub(super) fn in_order(&self, now: Timestamp) -> (u64, Vec<Arc<Place>>) {
        self.sweep(now);
        let (version, mut places): (u64, Vec<Arc<Place>>) = {
            // Only references are taken under the lock; whatever is made of them is made after it.
            let inner = self.read();
            (inner.ring.newest(), inner.places.values().map(|slot| Arc::clone(&slot.place)).collect())
        };
        // They are nearly in order already, which this sort turns to its advantage.
        places.sort_by(|a, b| in_tree_order(&a.id, &b.id));
        (version, places)
    }

    /// The number of the newest change.
    pub fn version(&self) -> u64 {
        self.read().ring.newest()
    }

    /// A count of every write, signs of life included: two snapshots with the same count say the same.
    pub fn writes(&self) -> u64 {
        self.sweep(Timestamp::now());
        self.read().writes
    }

    /// What happened since the change with this number, the first `at_most` of it.
    pub fn changes_since(&self, seq: u64, at_most: usize) -> Changes {
        self.sweep(Timestamp::now());
        self.read().ring.since(seq, at_most)
    }

    /// Told the number of the newest change whenever there is one.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Takes out whose time in the grave is over. Done by every reader, so that it needs nobody's clock.
    fn sweep(&self, now: Timestamp) {
        if self.read().graves.front().is_some_and(|(at, _)| is_over(*at, now)) {
            self.write(|inner| inner.sweep(now));
        }
    }

    #[cfg(test)]
    pub(super) fn sweep_at(&self, now: Timestamp) {
        self.sweep(now);
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, change: impl FnOnce(&mut Inner)) {
        let (before, after) = {
            let mut inner: RwLockWriteGuard<'_, Inner> = self.inner.write().unwrap_or_else(PoisonError::into_inner);
            let before = inner.ring.newest();
            inner.writes += 1;
            change(&mut inner);
            (before, inner.ring.newest())
        };
        if before != after {
            // Two writers may come here in the other order; the number never goes back.
            self.newest.send_if_modified(|newest| std::mem::replace(newest, after.max(*newest)) < after);
        }
    }
}

impl Inner {
    fn note(&mut self, at: Timestamp, kind: ChangeKind, was: Option<AgentStatus>, place: Arc<Place>) {
        if place.kind != EXECUTION {
            self.ring.push(at, kind, was, place);
        }
    }

    fn remove(&mut self, path: &str, at: Option<Timestamp>) {
        if let Some(slot) = self.places.remove(path)
            && slot.place.kind != EXECUTION
        {
            self.note(at.unwrap_or_else(Timestamp::now), ChangeKind::Gone, None, slot.place);
        }
    }

    fn sweep(&mut self, now: Timestamp) {
        while self.graves.front().is_some_and(|(at, _)| is_over(*at, now)) {
            let Some((at, path)) = self.graves.pop_front() else { return };
            // Who was entered again meanwhile, and perhaps ended again, has another grave or none.
            if self.places.get(&path).is_some_and(|slot| slot.buried == Some(at)) {
                self.remove(&path, Some(now));
            }
        }
    }

    /// A place and everything under it, found without walking the rest of the table.
    fn paths_under(&self, path: &str) -> Vec<Path> {
        let below = format!("{path}/");
        let exact = self.places.contains_key(path).then(|| path.to_owned());
        let rest = self.places.range(below.clone()..).map(|(path, _)| path);
        exact.into_iter().chain(rest.take_while(|path| path.starts_with(&below)).cloned()).collect()
    }
}

fn is_over(buried: Timestamp, now: Timestamp) -> bool {
    now.duration_since(buried) >= GRAVE
}
