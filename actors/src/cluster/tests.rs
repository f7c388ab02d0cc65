//! What is told is what is heard, and what is missed is known to be missed.

use std::time::Duration;

use bytes::Bytes;
use greenroom_contract::{
    NodeId,
    execution::Failure,
    status::AgentStatus,
    tree::{Place, Table},
};
use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    heard::{FORGOTTEN, Heard, UNHEARD},
    table::Face,
    told::Told,
    words::{News, Word, unpack},
};

fn face(name: &str) -> Face {
    Face {
        node: NodeId::new(name),
        roles: vec!["autonomous".into()],
        addr: "127.0.0.1:1".into(),
        version: "0".into(),
        started_at: Timestamp::UNIX_EPOCH,
    }
}

fn news(body: &Bytes) -> News<Place> {
    match unpack::<Word<Place>>(body) {
        Some(Word::News(news)) => *news,
        other => panic!("no news: {other:?}"),
    }
}

/// A node that speaks, and one that listens.
struct Pair {
    table: Table,
    told: Told,
    heard: Heard,
}

impl Pair {
    fn new() -> Self {
        Self { table: Table::new(&NodeId::new("a")), told: Told::new(1), heard: Heard::default() }
    }

    fn say(&mut self) -> Vec<Bytes> {
        self.told.next(&face("a"), &self.table.places(), &[])
    }

    /// Returns whether the listener asks for everything.
    fn hear(&mut self, bodies: &[Bytes]) -> bool {
        let take = |heard: &mut Heard, body| heard.take(news(body), Instant::now(), Timestamp::now());
        bodies.iter().fold(false, |asked, body| take(&mut self.heard, body) | asked)
    }

    fn knows(&mut self) -> (bool, Vec<String>) {
        let branch = self.heard.nodes(Instant::now()).next().expect("the node was heard");
        (branch.whole, branch.places.keys().cloned().collect())
    }
}

#[tokio::test]
async fn only_what_changed_is_told_and_all_of_it_is_heard() {
    let mut pair = Pair::new();
    for n in 0..600 {
        pair.table.enter(&format!("agents/a{n}"), "agent", AgentStatus::Idle);
    }
    let first = pair.say();
    assert!(first.len() > 1, "600 places do not go into one piece");
    assert!(!pair.hear(&first));
    let (whole, places) = pair.knows();
    assert!(whole);
    assert_eq!(places.len(), 601);

    let quiet = pair.say();
    assert_eq!((quiet.len(), news(&quiet[0]).places.len()), (1, 0), "a sign of life and no more");
    pair.hear(&quiet);
    pair.table.status("agents/a7", AgentStatus::Failed);
    pair.table.leave("agents/a8");
    let change = pair.say();
    let told = news(&change[0]);
    assert_eq!((change.len(), told.places.len(), told.gone), (1, 1, vec!["agents/a8".to_owned()]));
    assert!(!pair.hear(&change));
    let branch = pair.heard.nodes(Instant::now()).next().unwrap();
    assert_eq!(branch.places["agents/a7"].status, AgentStatus::Failed);
    assert!(branch.whole && !branch.places.contains_key("agents/a8"));
}

#[tokio::test]
async fn a_gap_is_noticed_and_mended_by_telling_everything_anew() {
    let mut pair = Pair::new();
    pair.table.enter("agents/x", "agent", AgentStatus::Idle);
    pair.table.enter("agents/y", "agent", AgentStatus::Idle);
    let first = pair.say();
    pair.hear(&first);
    pair.table.leave("agents/x");
    drop(pair.say());
    pair.table.status("agents/y", AgentStatus::Paused);
    let later = pair.say();
    assert!(pair.hear(&later), "something was missed: the node is asked");
    assert_eq!(pair.knows(), (false, vec![String::new(), "agents/x".into(), "agents/y".into()]));
    // It is not asked at every word.
    let again = pair.say();
    assert!(!pair.hear(&again));
    pair.told.again();
    let all = pair.say();
    assert!(!pair.hear(&all));
    assert_eq!(pair.knows(), (true, vec![String::new(), "agents/y".into()]));
}

#[tokio::test]
async fn places_too_long_for_one_broadcast_are_told_in_parts() {
    let mut pair = Pair::new();
    for n in 0..40 {
        let path = format!("agents/a{n}");
        pair.table.enter(&path, "agent", AgentStatus::Failed);
        for _ in 0..10 {
            pair.table.failed(&path, Failure::new("x", "m".repeat(10_000)), None);
        }
    }
    let all = pair.say();
    assert!(all.len() > 3 && all.iter().all(|body| body.len() <= 1 << 20));
    pair.hear(&all);
    let (whole, places) = pair.knows();
    assert_eq!((whole, places.len()), (true, 41));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_not_heard_is_unreachable_then_forgotten_and_another_life_begins_anew() {
    let mut pair = Pair::new();
    pair.table.enter("agents/x", "agent", AgentStatus::Idle);
    let first = pair.say();
    pair.hear(&first);
    let reachable =
        |heard: &mut Heard| heard.nodes(Instant::now()).map(|b| b.is_reachable(Instant::now())).collect::<Vec<_>>();
    tokio::time::advance(UNHEARD - Duration::from_millis(1)).await;
    assert_eq!(reachable(&mut pair.heard), [true]);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(reachable(&mut pair.heard), [false]);
    // Its next life knows nothing of what was before, and late words of the old one are passed over.
    let old = pair.say();
    pair.told = Told::new(2);
    pair.table = Table::new(&NodeId::new("a"));
    let reborn = pair.say();
    pair.hear(&reborn);
    pair.hear(&old);
    assert_eq!(pair.knows(), (true, vec![String::new()]));
    tokio::time::advance(FORGOTTEN).await;
    assert!(reachable(&mut pair.heard).is_empty());
    let word = pair.say();
    pair.hear(&word);
    pair.heard.left(&NodeId::new("a"));
    assert!(reachable(&mut pair.heard).is_empty());
}
