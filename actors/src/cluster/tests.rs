//! What is told is what is heard, and what is missed is known to be missed.

use std::time::Duration;

use bytes::Bytes;
use greenroom_contract::{
    NodeId,
    execution::Failure,
    status::AgentStatus,
    tree::{News, Place, Since, Table},
};
use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    heard::{FORGOTTEN, Heard, UNHEARD},
    table::Face,
    told::Told,
    words::{self, Word, unpack},
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

fn news(body: &Bytes) -> words::News<Place> {
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

/// What a reader of the cluster's tree is told, as `what path`.
fn told(heard: &mut Heard, since: &mut u64) -> Vec<String> {
    let Since::Some(news) = heard.feed.since(*since, 1_000) else { panic!("a gap") };
    *since = heard.feed.version();
    let line = |heard: greenroom_contract::tree::Heard| match heard.news {
        News::Place(change) => format!("{} {}", change.kind.as_str(), change.path),
        News::Node { reachable, .. } => format!("reachable {reachable}"),
        News::Left { .. } => "left".to_owned(),
    };
    news.into_iter().map(line).collect()
}

#[tokio::test(start_paused = true)]
async fn who_follows_the_clusters_tree_is_told_what_changed_and_nothing_else() {
    let mut pair = Pair::new();
    let mut since = pair.heard.feed.version();
    pair.table.enter("agents/x", "agent", AgentStatus::Idle);
    pair.table.enter("agents/x/0", "instance", AgentStatus::Idle);
    let words = pair.say();
    pair.hear(&words);
    let first = ["reachable true", "entered ", "entered agents/x", "entered agents/x/0"];
    assert_eq!(told(&mut pair.heard, &mut since), first);

    // Depths and executions are no changes; neither is everything told anew.
    pair.table.inbox("agents/x", 7, Some(10), None);
    pair.table.enter("agents/x/0/run", "execution", AgentStatus::Running);
    let words = pair.say();
    pair.hear(&words);
    pair.table.leave("agents/x/0/run");
    pair.told.again();
    let words = pair.say();
    pair.hear(&words);
    assert!(told(&mut pair.heard, &mut since).is_empty());

    pair.table.status("agents/x", AgentStatus::Failed);
    pair.table.leave("agents/x/0");
    let words = pair.say();
    pair.hear(&words);
    assert_eq!(told(&mut pair.heard, &mut since), ["gone agents/x/0", "status agents/x"]);

    tokio::time::advance(UNHEARD).await;
    pair.heard.judge(Instant::now());
    pair.heard.judge(Instant::now());
    assert_eq!(told(&mut pair.heard, &mut since), ["reachable false"]);
    let words = pair.say();
    pair.hear(&words);
    assert_eq!(told(&mut pair.heard, &mut since), ["reachable true"]);
    pair.heard.left(&NodeId::new("a"));
    assert_eq!(told(&mut pair.heard, &mut since), ["left"]);
}

/// Ten thousand agents: everything goes in pieces of a bounded size, a bounded number at a time, and a quiet node says
/// little. Prints what it costs.
#[tokio::test]
async fn ten_thousand_agents_are_told_in_bounded_pieces() {
    let mut pair = Pair::new();
    for n in 0..10_000 {
        pair.table.enter(&format!("agents/agent-{n:05}"), "agent", AgentStatus::Idle);
        pair.table.enter(&format!("agents/agent-{n:05}/0"), "instance", AgentStatus::Idle);
    }
    let (mut rounds, mut bytes, mut said, mut heard) = (0, 0, Duration::ZERO, Duration::ZERO);
    loop {
        let began = std::time::Instant::now();
        let words = pair.say();
        said += began.elapsed();
        assert!(words.len() <= 16 && words.iter().all(|word| word.len() <= 1 << 20));
        let began = std::time::Instant::now();
        assert!(!pair.hear(&words));
        heard += began.elapsed();
        (rounds, bytes) = (rounds + 1, bytes + words.iter().map(Bytes::len).sum::<usize>());
        if pair.knows().0 {
            break;
        }
        assert!(rounds < 20, "it is not told");
    }
    println!("20,001 places: {bytes} bytes in {rounds} rounds; {said:?} to say, {heard:?} to hear");
    assert_eq!(pair.knows().1.len(), 20_001);
    for n in 0..100 {
        pair.table.status(&format!("agents/agent-{n:05}"), AgentStatus::Paused);
    }
    for (what, most) in [("100 changes", 100_000), ("nothing new", 1_000)] {
        let began = std::time::Instant::now();
        let words = pair.say();
        let (took, bytes) = (began.elapsed(), words.iter().map(Bytes::len).sum::<usize>());
        println!("{what}: {bytes} bytes, {took:?} to say");
        assert!(words.len() == 1 && bytes < most, "{what}: {bytes} bytes");
        pair.hear(&words);
    }
}
