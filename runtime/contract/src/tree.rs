//! The supervision tree as a shared table: written by supervisors and shells, read without messaging any actor.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, PoisonError, RwLock},
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    execution::Failure,
    id::{ExecutionId, NodeId, TraceId},
    status::AgentStatus,
};

/// How many failures a place remembers.
const FAILURES_KEPT: usize = 10;
/// How long the dead stay visible.
const GRAVE: SignedDuration = SignedDuration::from_secs(60);

/// The stable path of a place in the tree, for example `agents/customer-support/0`. It outlives restarts.
pub type Path = String;

/// A place in the tree: an actor over all its generations.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Place {
    /// The path, unique within its node.
    pub id: Path,
    /// The path's last part.
    pub name: String,
    /// `node`, `supervisor`, `agent`, `instance`, `execution`, `service`, `tool_server`.
    pub kind: String,
    /// How it is.
    pub status: AgentStatus,
    /// Since when.
    pub since: Timestamp,
    /// When its present generation was started.
    pub started_at: Timestamp,
    /// How many times it was started.
    pub generation: u32,
    /// Restarts since its first start, by its supervisor.
    pub restarts: u32,
    /// Restarts in its window, against its budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// How many times it had to be killed because it did not stop.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub kills: u32,
    /// How many of its former tasks did not end when they were killed: they are fenced and left behind.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub quarantined: u32,
    /// How many results of fenced tasks came too late and were thrown away.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub late_results: u32,
    /// Whether it was put to sleep because it had nothing to do; the next message wakes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passivated: bool,
    /// Whether its mailbox answers, for an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping: Option<Ping>,
    /// What waits for it.
    pub inbox: u64,
    /// What it does now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work: Option<Work>,
    /// Its last failures, newest first.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub failures: VecDeque<PastFailure>,
    /// Its children, in the order of their paths.
    #[serde(default)]
    pub children: Vec<Place>,
}

/// The last round trips through a mailbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// When it was last asked whether it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_ping: Option<Timestamp>,
    /// When it last answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_pong: Option<Timestamp>,
    /// How long the last answer took, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_us: Option<u64>,
}

/// How much of a restart budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Restarts within the window.
    pub in_window: u32,
    /// How many are allowed there.
    pub max_restarts: u32,
    /// The window, in milliseconds.
    pub window_ms: u64,
    /// When the next restart is due, while it waits for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
}

/// What a place does now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// The execution.
    pub execution_id: ExecutionId,
    /// The workflow.
    pub trace_id: TraceId,
    /// The call that is under way, for example `llm openai/gpt-6-sol`.
    pub step: String,
    /// Since when.
    pub since: Timestamp,
    /// When it will be given up unless it makes progress.
    pub deadline: Timestamp,
    /// When it last made progress.
    pub last_progress: Timestamp,
}

/// A failure that a place remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastFailure {
    /// When.
    pub at: Timestamp,
    /// Why.
    #[serde(flatten)]
    pub failure: Failure,
    /// In which workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<TraceId>,
}

/// The whole tree, as far as it is known.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tree {
    /// Whether every node answered.
    pub complete: bool,
    /// The nodes.
    pub nodes: Vec<NodeTree>,
}

/// One node's branch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeTree {
    /// The node.
    pub node: NodeId,
    /// Its roles.
    pub roles: Vec<String>,
    /// Whether it was heard of lately.
    pub reachable: bool,
    /// Its supervision tree.
    pub root: Place,
}

/// The table of one node. Cheap to clone; all clones are the same table.
#[derive(Debug, Clone)]
pub struct Table {
    places: Arc<RwLock<BTreeMap<Path, Slot>>>,
    root: Path,
}

#[derive(Debug, Clone)]
struct Slot {
    place: Place,
    buried: Option<Timestamp>,
}

impl Table {
    /// A table with its root, the node.
    pub fn new(node: &NodeId) -> Self {
        let table = Self { places: Arc::default(), root: String::new() };
        table.enter("", "node", AgentStatus::Running);
        table.update("", |place| place.name = node.to_string());
        table
    }

    /// Enters a place, or starts its next generation. A path's parent is the path without its last part.
    pub fn enter(&self, path: &str, kind: &str, status: AgentStatus) {
        let now = Timestamp::now();
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        match places.get_mut(path) {
            Some(slot) => {
                slot.buried = None;
                slot.place.generation += 1;
                slot.place.started_at = now;
                slot.place.work = None;
                set_status(&mut slot.place, status, now);
            }
            None => {
                let name = path.rsplit('/').next().unwrap_or(path).to_owned();
                let place = Place {
                    id: path.to_owned(),
                    name,
                    kind: kind.to_owned(),
                    status,
                    since: now,
                    started_at: now,
                    generation: 1,
                    restarts: 0,
                    budget: None,
                    kills: 0,
                    quarantined: 0,
                    late_results: 0,
                    passivated: false,
                    ping: None,
                    inbox: 0,
                    work: None,
                    failures: VecDeque::new(),
                    children: Vec::new(),
                };
                places.insert(path.to_owned(), Slot { place, buried: None });
            }
        }
    }

    /// Changes a place, if it is there. The change must be quick: readers wait for it.
    pub fn update(&self, path: &str, change: impl FnOnce(&mut Place)) {
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = places.get_mut(path) {
            change(&mut slot.place);
        }
    }

    /// Sets a place's status, and the moment of the change if it is one.
    pub fn status(&self, path: &str, status: AgentStatus) {
        self.update(path, |place| set_status(place, status, Timestamp::now()));
    }

    /// Remembers a failure.
    pub fn failed(&self, path: &str, failure: Failure, trace_id: Option<TraceId>) {
        self.update(path, |place| {
            place.failures.push_front(PastFailure { at: Timestamp::now(), failure, trace_id });
            place.failures.truncate(FAILURES_KEPT);
        });
    }

    /// Marks a place and everything under it as gone: it stays visible as `stopped` for 60 s.
    pub fn bury(&self, path: &str) {
        let now = Timestamp::now();
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        for path in paths_under(&places, path) {
            if let Some(slot) = places.get_mut(&path) {
                slot.buried.get_or_insert(now);
                slot.place.work = None;
                set_status(&mut slot.place, AgentStatus::Stopped, now);
            }
        }
        places.retain(|_, slot| slot.buried.is_none_or(|at| now.duration_since(at) < GRAVE));
    }

    /// Takes a place and everything under it out at once: for executions, of which there are many.
    pub fn leave(&self, path: &str) {
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        for path in paths_under(&places, path) {
            places.remove(&path);
        }
    }

    /// A copy of one place, without its children.
    pub fn place(&self, path: &str) -> Option<Place> {
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        places.get(path).map(|slot| slot.place.clone())
    }

    /// The whole branch of this node.
    pub fn snapshot(&self) -> Place {
        let now = Timestamp::now();
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        let mut copies: Vec<Place> = places
            .values()
            .filter(|slot| slot.buried.is_none_or(|at| now.duration_since(at) < GRAVE))
            .map(|slot| slot.place.clone())
            .collect();
        drop(places);
        // Deepest first, so that each place is complete before it is handed to its parent.
        copies.sort_by(|a, b| depth(&b.id).cmp(&depth(&a.id)).then_with(|| b.id.cmp(&a.id)));
        let mut orphans: BTreeMap<Path, Vec<Place>> = BTreeMap::new();
        let mut root = None;
        for mut place in copies {
            if let Some(mut children) = orphans.remove(&place.id) {
                children.reverse();
                place.children = children;
            }
            if place.id == self.root {
                root = Some(place);
            } else {
                let parent = place.id.rsplit_once('/').map_or(String::new(), |(parent, _)| parent.to_owned());
                orphans.entry(parent).or_default().push(place);
            }
        }
        root.unwrap_or_else(|| unreachable_root(now))
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn set_status(place: &mut Place, status: AgentStatus, now: Timestamp) {
    if place.status != status {
        place.status = status;
        place.since = now;
    }
}

fn depth(path: &str) -> usize {
    if path.is_empty() { 0 } else { 1 + path.matches('/').count() }
}

/// A place and everything under it, found without walking the rest of the table.
fn paths_under(places: &BTreeMap<Path, Slot>, path: &str) -> Vec<Path> {
    let below = format!("{path}/");
    let exact = places.contains_key(path).then(|| path.to_owned());
    let rest = places.range(below.clone()..).map(|(path, _)| path).take_while(|path| path.starts_with(&below)).cloned();
    exact.into_iter().chain(rest).collect()
}

/// The root is entered in [`Table::new`] and never leaves; this stands in if that is ever broken.
fn unreachable_root(now: Timestamp) -> Place {
    debug_assert!(false, "the root left the table");
    Place {
        id: String::new(),
        name: String::new(),
        kind: "node".to_owned(),
        status: AgentStatus::Stopped,
        since: now,
        started_at: now,
        generation: 0,
        restarts: 0,
        budget: None,
        kills: 0,
        quarantined: 0,
        late_results: 0,
        passivated: false,
        ping: None,
        inbox: 0,
        work: None,
        failures: VecDeque::new(),
        children: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_nest_by_path_and_outlive_a_restart() {
        let table = Table::new(&NodeId::new("n1"));
        table.enter("agents", "supervisor", AgentStatus::Running);
        table.enter("agents/a", "agent", AgentStatus::Running);
        table.enter("agents/a/0", "instance", AgentStatus::Running);
        table.enter("agents/b", "agent", AgentStatus::Running);
        table.enter("relay", "service", AgentStatus::Running);
        table.failed("agents/a/0", Failure::new("panicked", "boom"), None);
        table.enter("agents/a/0", "instance", AgentStatus::Idle);

        let root = table.snapshot();
        assert_eq!(root.name, "n1");
        let names: Vec<&str> = root.children.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["agents", "relay"]);
        let instance = &root.children[0].children[0].children[0];
        assert_eq!((instance.generation, instance.status), (2, AgentStatus::Idle));
        assert_eq!(instance.failures[0].failure.code, "panicked");
    }

    #[test]
    fn the_buried_stay_visible_and_what_left_does_not() {
        let table = Table::new(&NodeId::new("n1"));
        table.enter("a", "agent", AgentStatus::Running);
        table.enter("a/0", "instance", AgentStatus::Running);
        table.enter("ab", "agent", AgentStatus::Running);
        table.bury("a");
        let root = table.snapshot();
        assert_eq!(root.children[0].status, AgentStatus::Stopped);
        assert_eq!(root.children[1].status, AgentStatus::Running, "a path that only begins alike is untouched");
        table.leave("a");
        assert_eq!(table.snapshot().children.len(), 1);
    }
}
