//! The table and its ring, together.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{
    branch::{branch, in_tree_order},
    json, *,
};
use crate::{execution::Failure, id::NodeId, status::AgentStatus};

fn table() -> Table {
    Table::new(&NodeId::new("n1"))
}

fn kinds(changes: Changes) -> Vec<(ChangeKind, String)> {
    match changes {
        Changes::Some(changes) => changes.into_iter().map(|change| (change.kind, change.path)).collect(),
        Changes::Gap => panic!("a gap"),
    }
}

#[test]
fn places_nest_by_path_and_outlive_a_restart() {
    let table = table();
    table.enter("agents", "supervisor", AgentStatus::Running);
    table.enter("agents/a", "agent", AgentStatus::Running);
    table.enter("agents/a/0", "instance", AgentStatus::Running);
    table.enter("agents/a-b", "agent", AgentStatus::Running);
    table.enter("agents/a-b/0", "instance", AgentStatus::Running);
    table.enter("relay", "service", AgentStatus::Running);
    table.failed("agents/a/0", Failure::new("panicked", "boom"), None);
    table.enter("agents/a/0", "instance", AgentStatus::Idle);

    let root = table.snapshot();
    let names = |place: &Place| place.children.iter().map(|child| child.name.clone()).collect::<Vec<_>>();
    assert_eq!((root.name.as_str(), names(&root)), ("n1", vec!["agents".to_owned(), "relay".to_owned()]));
    assert_eq!(names(&root.children[0]), ["a", "a-b"]);
    let instance = &root.children[0].children[0].children[0];
    assert_eq!((instance.generation, instance.status), (2, AgentStatus::Idle));
    assert_eq!(instance.failures[0].failure.code, "panicked");
    assert_eq!((instance.parent(), root.parent()), (Some("agents/a"), None));
    assert!(instance.uptime_ms.is_some());
    assert_eq!(root.children[0].children[1].children.len(), 1, "a name that begins alike has its own children");
}

#[test]
fn the_branch_as_json_is_the_branch() {
    let table = table();
    for path in ["a", "a/0", "a/0/x", "a/1", "a-b", "a-b/0", "c/0/orphan", "d"] {
        table.enter(path, "agent", AgentStatus::Running);
    }
    table.failed("a/0", Failure::new("panicked", "\"children\":[]}"), None);
    let now = Timestamp::now();
    let (version, places) = table.in_order(now);
    let (node, roles, root) = (NodeId::new("n1"), vec!["gateway".to_owned()], branch(&places, now).unwrap());
    let mut written = Vec::new();
    json::write_tree(&node, &roles, version, &places, now, &mut written).unwrap();
    let read: serde_json::Value = serde_json::from_slice(&written).unwrap();
    let tree = Tree { complete: true, nodes: vec![NodeTree { node, roles, reachable: true, version, root }] };
    assert_eq!(read, serde_json::to_value(tree).unwrap());
    assert!(read["nodes"][0]["root"]["children"][0]["uptime_ms"].is_u64());
}

#[test]
fn the_buried_stay_visible_for_a_minute_and_what_left_does_not() {
    let table = table();
    table.enter("a", "agent", AgentStatus::Running);
    table.enter("a/0", "instance", AgentStatus::Running);
    table.enter("ab", "agent", AgentStatus::Running);
    let before = table.version();
    table.bury("a");
    table.bury("a");
    let root = table.snapshot();
    assert_eq!(root.children[0].status, AgentStatus::Stopped);
    assert_eq!(root.children[1].status, AgentStatus::Running, "a path that only begins alike is untouched");
    let left = |path: &str| (ChangeKind::Left, path.to_owned());
    assert_eq!(kinds(table.changes_since(before, RING)), [left("a"), left("a/0")], "the dead do not die twice");

    let buried = table.version();
    table.enter("a", "agent", AgentStatus::Starting);
    table.sweep_at(Timestamp::now() + SignedDuration::from_secs(61));
    assert_eq!(table.snapshot().children[0].children.len(), 0);
    let seen = kinds(table.changes_since(buried, RING));
    assert_eq!(seen, [(ChangeKind::Entered, "a".to_owned()), (ChangeKind::Gone, "a/0".to_owned())]);
    table.leave("a");
    assert_eq!(table.snapshot().children.len(), 1);
}

#[test]
fn the_ring_is_bounded_and_who_is_too_far_behind_is_told_so() {
    let table = table();
    let start = table.version();
    table.enter("a", "agent", AgentStatus::Idle);
    for _ in 0..RING / 2 {
        table.status("a", AgentStatus::Running);
        table.status("a", AgentStatus::Running);
        table.status("a", AgentStatus::Idle);
    }
    assert_eq!(table.version(), start + 1 + RING as u64, "what does not change is no change");
    assert!(matches!(table.changes_since(start, RING), Changes::Gap));
    let Changes::Some(all) = table.changes_since(start + 1, RING) else { panic!("the whole ring is there") };
    assert_eq!(all.len(), RING);
    assert!(all.iter().zip(start + 2..).all(|(change, seq)| change.seq == seq));
    assert_eq!((all[0].kind, all[0].was), (ChangeKind::Status, Some(AgentStatus::Idle)));
    assert!(kinds(table.changes_since(table.version(), RING)).is_empty());
    assert!(matches!(table.changes_since(table.version() + 1, RING), Changes::Gap), "a number that was never given");
    assert!(matches!(table.changes_since(0, RING), Changes::Gap));
}

#[test]
fn a_number_of_an_earlier_life_is_a_gap() {
    let before = table();
    before.enter("a", "agent", AgentStatus::Idle);
    let seen = before.version();
    // A restart takes longer than the microseconds that changes were counted in.
    let after = loop {
        let table = table();
        if table.version() > seen {
            break table;
        }
    };
    assert!(matches!(after.changes_since(seen, RING), Changes::Gap));
}

#[test]
fn executions_signs_of_life_and_depths_stay_out_of_the_ring_and_count_as_writes() {
    let table = table();
    table.enter("a", "agent", AgentStatus::Idle);
    let (version, writes) = (table.version(), table.writes());
    table.enter("a/x", "execution", AgentStatus::Running);
    table.inbox("a", 3, Some(8), None);
    table.leave("a/x");
    assert_eq!(table.version(), version);
    assert!(table.writes() > writes);
    let place = table.place("a").unwrap();
    assert_eq!((place.inbox, place.inbox_capacity), (3, Some(8)));
    let json = serde_json::to_value(&place).unwrap();
    assert!(json.get("quarantined").is_none(), "what is not the case is left out");
}

#[test]
fn each_kind_of_trouble_has_its_word() {
    let table = table();
    table.enter("a", "agent", AgentStatus::Idle);
    let start = table.version();
    table.failed("a", Failure::new("panicked", "boom"), None);
    table.update("a", |place| {
        place.status = AgentStatus::Restarting;
        place.restarts += 1;
    });
    table.update("a", |place| place.kills += 1);
    table.update("a", |place| place.quarantined = 1);
    table.update("a", |place| place.late_results += 1);
    table.update("a", |place| place.passivated = true);
    let kinds: Vec<&str> = kinds(table.changes_since(start, RING)).iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["failed", "restarted", "killed", "quarantined", "updated", "updated"]);
    assert!(table.place("a").unwrap().since >= table.place("a").unwrap().started_at);
}

#[tokio::test]
async fn readers_are_told_that_there_is_something_new() {
    let table = table();
    let mut newest = table.subscribe();
    table.enter("a", "agent", AgentStatus::Idle);
    newest.changed().await.unwrap();
    assert_eq!(*newest.borrow_and_update(), table.version());
    table.inbox("a", 1, None, None);
    assert!(!newest.has_changed().unwrap());
}

#[test]
fn an_old_sample_of_a_place_reads() {
    let old = r#"{"id":"a","name":"a","kind":"agent","status":"idle","since":"2026-11-22T22:45:18Z",
        "started_at":"2026-11-22T22:45:18Z","generation":1,"restarts":0,"inbox":0}"#;
    let place: Place = serde_json::from_str(old).unwrap();
    assert_eq!((place.kills, place.passivated), (0, false));
}

/// A write that a test makes.
#[derive(Debug, Clone)]
enum Write {
    Enter(usize, AgentStatus),
    Status(usize, AgentStatus),
    Restart(usize),
    Fail(usize),
    Busy(usize, u64),
    Bury(usize),
    Leave(usize),
    Minute,
    /// The reader reads what is new; `false` pretends that it lost its place and starts from a snapshot.
    Read(bool),
}

const PATHS: [&str; 7] = ["a", "a/0", "a/0/x", "a-b", "a-b/0", "a.c", "b/1"];

fn write() -> impl Strategy<Value = Write> {
    let path = 0..PATHS.len();
    let status = prop::sample::select(AgentStatus::ALL);
    prop_oneof![
        4 => (path.clone(), status.clone()).prop_map(|(p, s)| Write::Enter(p, s)),
        4 => (path.clone(), status).prop_map(|(p, s)| Write::Status(p, s)),
        1 => path.clone().prop_map(Write::Restart),
        1 => path.clone().prop_map(Write::Fail),
        1 => (path.clone(), 0..9_u64).prop_map(|(p, n)| Write::Busy(p, n)),
        2 => path.clone().prop_map(Write::Bury),
        1 => path.prop_map(Write::Leave),
        1 => Just(Write::Minute),
        3 => prop::bool::weighted(0.9).prop_map(Write::Read),
    ]
}

/// What is compared: all that the ring is to carry.
fn seen(place: &Place) -> Place {
    Place { uptime_ms: None, inbox: 0, work: None, children: Vec::new(), ..place.clone() }
}

fn flat(place: &Place, into: &mut BTreeMap<String, Place>) {
    into.insert(place.id.clone(), seen(place));
    place.children.iter().for_each(|child| flat(child, into));
}

#[derive(Default)]
struct Reader {
    at: u64,
    places: BTreeMap<String, Place>,
}

impl Reader {
    fn resync(&mut self, table: &Table) {
        let (version, root) = table.snapshot_at();
        self.at = version;
        self.places.clear();
        flat(&root, &mut self.places);
    }

    fn read(&mut self, table: &Table) {
        let Changes::Some(changes) = table.changes_since(self.at, RING) else { return self.resync(table) };
        for change in changes {
            assert_eq!(change.seq, self.at + 1);
            self.at = change.seq;
            match change.kind {
                ChangeKind::Gone => drop(self.places.remove(&change.path)),
                _ => drop(self.places.insert(change.path, seen(&Arc::unwrap_or_clone(change.place)))),
            }
        }
    }
}

proptest! {
    #[test]
    fn a_reader_that_resumes_anywhere_sees_the_same_tree(writes in prop::collection::vec(write(), 1..120)) {
        let table = table();
        let mut reader = Reader::default();
        reader.resync(&table);
        for write in writes {
            match write {
                Write::Enter(p, status) => table.enter(PATHS[p], "agent", status),
                Write::Status(p, status) => table.status(PATHS[p], status),
                Write::Restart(p) => table.update(PATHS[p], |place| place.restarts += 1),
                Write::Fail(p) => table.failed(PATHS[p], Failure::new("a", "b"), None),
                Write::Busy(p, n) => table.inbox(PATHS[p], n, None, None),
                Write::Bury(p) => table.bury(PATHS[p]),
                Write::Leave(p) => table.leave(PATHS[p]),
                Write::Minute => table.sweep_at(Timestamp::now() + SignedDuration::from_secs(61)),
                Write::Read(true) => reader.read(&table),
                Write::Read(false) => reader.resync(&table),
            }
        }
        reader.read(&table);
        let mut truth = BTreeMap::new();
        flat(&table.snapshot(), &mut truth);
        prop_assert_eq!(&reader.places, &truth);
    }

    #[test]
    fn tree_order_puts_each_place_before_what_is_under_it(
        mut paths in prop::collection::vec("[a-c./-]{0,6}", 0..20),
    ) {
        paths.sort_by(|a, b| in_tree_order(a, b));
        for (at, path) in paths.iter().enumerate() {
            let below = format!("{path}/");
            let after = &paths[at..];
            let under = after.iter().take_while(|other| *other == path || other.starts_with(&below)).count();
            prop_assert!(!after[under..].iter().any(|other| other.starts_with(&below)), "{:?}", paths);
        }
    }
}
