//! The tree as it is followed: over real sockets where the connection matters, over paused time where the clock does.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    body::{Body, BodyDataStream},
    http::Request,
};
use futures::StreamExt;
use greenroom_contract::{
    NodeId,
    execution::Failure,
    status::AgentStatus,
    task::spawn,
    tree::{Change, ChangeKind, News, Place, RING},
};
use reqwest::Response;
use serde_json::Value;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::stream::{HEARTBEAT, READERS};
use crate::{
    DRAIN,
    testing::{Answer, House},
};

const STREAM: &str = "/v1/tree/stream";
const AGENT: &str = "agents/customer-support";

/// One event, or a comment, as it was sent.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    name: String,
    id: String,
    data: Value,
}

/// Cuts the first whole event off what has arrived.
fn first_event(arrived: &mut String) -> Option<Heard> {
    let (event, rest) = arrived.split_once("\n\n")?;
    let mut heard = Heard::default();
    for line in event.lines() {
        match line.split_once(':').map(|(field, value)| (field, value.trim_start())) {
            Some(("event", name)) => heard.name = name.to_owned(),
            Some(("id", id)) => heard.id = id.to_owned(),
            Some(("data", data)) => heard.data = serde_json::from_str(data).unwrap(),
            Some(("" | "retry", _)) => {}
            other => panic!("{other:?} is no field of an event"),
        }
    }
    *arrived = rest.to_owned();
    Some(heard)
}

/// A reader inside of the process: takes no more than it asks for.
struct Inside(BodyDataStream, String);

impl Inside {
    async fn open(house: &House) -> Self {
        let request = Request::get(STREAM).header("host", "localhost").body(Body::empty()).unwrap();
        let response = house.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Self(response.into_body().into_data_stream(), String::new())
    }

    async fn next(&mut self) -> Option<Heard> {
        loop {
            if let Some(heard) = first_event(&mut self.1) {
                return Some(heard);
            }
            let chunk = self.0.next().await?.unwrap();
            self.1.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn name(&mut self) -> String {
        self.next().await.unwrap().name
    }
}

/// A reader at the other end of a socket.
struct Outside(Response, String);

impl Outside {
    async fn open(addr: std::net::SocketAddr, last: Option<&str>) -> Self {
        Self::of(addr, "", last).await
    }

    async fn of(addr: std::net::SocketAddr, query: &str, last: Option<&str>) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut request = reqwest::Client::new().get(format!("http://{addr}{STREAM}{query}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        Self(response, String::new())
    }

    async fn next(&mut self) -> Option<Heard> {
        let next = async {
            loop {
                if let Some(heard) = first_event(&mut self.1) {
                    return Some(heard);
                }
                let chunk = self.0.chunk().await.unwrap()?;
                self.1.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        };
        tokio::time::timeout(Duration::from_secs(10), next).await.expect("nothing was sent for 10 s")
    }
}

async fn served(
    house: &House,
) -> (std::net::SocketAddr, CancellationToken, tokio::task::JoinHandle<std::io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, cancel) = (listener.local_addr().unwrap(), CancellationToken::new());
    let task = spawn("server", crate::serve(listener, house.router.clone(), cancel.clone()));
    (addr, cancel, task)
}

#[tokio::test]
async fn a_reader_gets_the_tree_then_its_changes_and_goes_on_where_it_was() {
    let house = House::new();
    let table = &house.operator.table;
    let (addr, _cancel, _task) = served(&house).await;
    let mut reader = Outside::open(addr, None).await;
    let whole = reader.next().await.unwrap();
    assert_eq!((whole.name.as_str(), &whole.id), ("snapshot", &table.version().to_string()));
    assert_eq!(whole.data["nodes"][0]["version"], table.version());
    assert_eq!(whole.data["nodes"][0]["root"]["children"][0]["children"][0]["id"], AGENT);

    table.status(AGENT, AgentStatus::Paused);
    let change = reader.next().await.unwrap();
    assert_eq!((change.name.as_str(), &change.id), ("status", &table.version().to_string()));
    assert_eq!((&change.data["node"], &change.data["path"]), (&"n1".into(), &AGENT.into()));
    assert_eq!((&change.data["was"], &change.data["place"]["status"]), (&"idle".into(), &"paused".into()));
    drop(reader);

    table.update(AGENT, |place| place.restarts += 1);
    let mut reader = Outside::open(addr, Some(&change.id)).await;
    let next = reader.next().await.unwrap();
    assert_eq!((next.name.as_str(), &next.data["place"]["restarts"]), ("restarted", &1.into()));

    for unknown in ["7", "nonsense", "99999999999999999999"] {
        let mut reader = Outside::open(addr, Some(unknown)).await;
        assert_eq!(reader.next().await.unwrap().name, "resync", "{unknown}");
        assert_eq!(reader.next().await.unwrap().name, "snapshot", "{unknown}");
    }
}

#[tokio::test]
async fn a_reader_of_the_cluster_hears_of_every_node_and_goes_on_where_it_was() {
    let house = House::new();
    let (table, feed, two) = (&house.operator.table, &house.operator.feed, NodeId::new("two"));
    let (addr, _cancel, _task) = served(&house).await;
    let open = async |last: Option<&str>| Outside::of(addr, "?scope=cluster", last).await;
    let mut reader = open(None).await;
    assert_eq!(reader.next().await.unwrap().name, "snapshot");

    let now = jiff::Timestamp::now();
    feed.push(&two, News::Node { at: now, reachable: true });
    let place = Arc::new(Place::new(AGENT, "agent", AgentStatus::Failed, now));
    let change = Change { seq: 0, at: now, kind: ChangeKind::Entered, path: AGENT.into(), was: None, place };
    feed.push(&two, News::Place(change));
    let heard = [reader.next().await.unwrap(), reader.next().await.unwrap()];
    assert_eq!((heard[0].name.as_str(), &heard[0].data["reachable"]), ("node", &true.into()));
    assert_eq!((heard[1].name.as_str(), &heard[1].data["place"]["status"]), ("entered", &"failed".into()));
    assert!(heard.iter().all(|heard| heard.data["node"] == "two"), "{heard:?}");
    drop(reader);

    // What happened meanwhile here and there is told to who comes back, and nothing else.
    table.status(AGENT, AgentStatus::Paused);
    feed.push(&two, News::Left { at: now });
    let mut reader = open(Some(&heard[1].id)).await;
    let missed = [reader.next().await.unwrap(), reader.next().await.unwrap()];
    let told: Vec<_> = missed.iter().map(|heard| (heard.name.as_str(), heard.data["node"].as_str().unwrap())).collect();
    assert_eq!(told, [("status", "n1"), ("node_left", "two")]);
    let mut reader = open(Some(&missed[1].id)).await;
    table.status(AGENT, AgentStatus::Idle);
    assert_eq!(reader.next().await.unwrap().data["place"]["status"], "idle");

    // Another node gives other ids; one that missed more than is kept starts anew.
    for old in ["n2:1-1".to_owned(), table.version().to_string()] {
        assert_eq!(open(Some(&old)).await.next().await.unwrap().name, "resync", "{old}");
    }
    for _ in 0..=RING {
        feed.push(&two, News::Node { at: now, reachable: false });
    }
    let mut reader = open(Some(&missed[1].id)).await;
    assert_eq!(
        (reader.next().await.unwrap().name, reader.next().await.unwrap().name),
        ("resync".into(), "snapshot".into())
    );
}

#[tokio::test]
async fn a_stop_does_not_wait_for_readers_quiet_or_stuck() {
    let house = House::new();
    let (addr, cancel, task) = served(&house).await;
    let mut reader = Outside::open(addr, None).await;
    reader.next().await.unwrap();
    // One that has stopped reading, with more on its way than the sockets hold.
    let long = "x".repeat(1 << 24);
    house.operator.table.failed(AGENT, Failure::new("long", long), None);
    assert_eq!(reader.next().await.unwrap().name, "failed");
    let mut stuck = TcpStream::connect(addr).await.unwrap();
    stuck.write_all(format!("GET {STREAM} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    stuck.readable().await.unwrap();

    let stopped = std::time::Instant::now();
    house.closing.cancel();
    cancel.cancel();
    assert_eq!(reader.next().await, None, "the stream has ended");
    assert!(stopped.elapsed() < Duration::from_secs(1), "it took {:?}", stopped.elapsed());
    task.await.unwrap().unwrap();
    assert!(stopped.elapsed() < DRAIN / 2, "it took {:?}", stopped.elapsed());
    drop(stuck);
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_says_that_it_is_alive() {
    let house = House::new();
    let mut reader = Inside::open(&house).await;
    assert_eq!(reader.name().await, "snapshot");
    for _ in 0..3 {
        let before = Instant::now();
        assert_eq!(reader.next().await, Some(Heard::default()), "a comment");
        assert_eq!(before.elapsed().as_secs(), HEARTBEAT.as_secs());
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_the_tree_again_and_what_flickers_is_sent_once() {
    let house = House::new();
    let table = &house.operator.table;
    let mut reader = Inside::open(&house).await;
    assert_eq!(reader.name().await, "snapshot");
    let flicker = |times: usize| {
        for _ in 0..times {
            table.status(AGENT, AgentStatus::Running);
            table.status(AGENT, AgentStatus::Idle);
        }
    };
    flicker(RING);
    assert_eq!(reader.name().await, "resync");
    let whole = reader.next().await.unwrap();
    assert_eq!((whole.name.as_str(), &whole.id), ("snapshot", &table.version().to_string()));

    flicker(50);
    table.enter("agents/new", "agent", AgentStatus::Starting);
    let last = reader.next().await.unwrap();
    assert_eq!((last.name.as_str(), &last.data["place"]["status"]), ("status", &"idle".into()));
    assert_eq!(reader.name().await, "entered");
}

#[tokio::test(start_paused = true)]
async fn following_leads_to_the_same_tree_as_asking() {
    fn flat(place: &Value, into: &mut BTreeMap<String, Value>) {
        let mut own = place.clone();
        own.as_object_mut().unwrap().retain(|field, _| !matches!(field.as_str(), "children" | "uptime_ms"));
        into.insert(place["id"].as_str().unwrap().to_owned(), own);
        place["children"].as_array().unwrap().iter().for_each(|child| flat(child, into));
    }
    let house = House::new();
    let table = &house.operator.table;
    let mut reader = Inside::open(&house).await;
    let mut known = BTreeMap::new();
    flat(&reader.next().await.unwrap().data["nodes"][0]["root"], &mut known);
    for round in 0..20 {
        let path = format!("agents/a{}", round % 3);
        table.enter(&path, "agent", AgentStatus::Starting);
        table.status(&path, AgentStatus::Running);
        table.enter(&format!("{path}/0"), "instance", AgentStatus::Running);
        table.update(&path, |place| place.restarts += 1);
        if round % 5 == 0 {
            table.bury(&path);
        } else if round % 7 == 0 {
            table.leave(&path);
        }
        let newest = table.version().to_string();
        loop {
            let heard = reader.next().await.unwrap();
            let path = heard.data["path"].as_str().unwrap().to_owned();
            let mut place = heard.data["place"].clone();
            place.as_object_mut().unwrap().remove("children");
            if heard.name == "gone" {
                known.remove(&path)
            } else {
                known.insert(path, place)
            };
            if heard.id == newest {
                break;
            }
        }
        let mut truth = BTreeMap::new();
        flat(&house.get("/v1/tree").await.json()["nodes"][0]["root"], &mut truth);
        assert_eq!(known, truth, "round {round}");
    }
}

#[tokio::test]
async fn there_is_a_bound_on_readers() {
    let house = House::new();
    let mut readers = Vec::new();
    for _ in 0..READERS {
        readers.push(Inside::open(&house).await);
    }
    let answer = house.get(STREAM).await;
    answer.problem(503, "unavailable");
    assert!(!answer.header("retry-after").is_empty());
    readers.pop();
    Inside::open(&house).await;
    house.get("/v1/tree/stream?status=failed").await.problem(400, "bad_parameter");
}

#[tokio::test]
async fn a_tree_that_is_known_already_is_not_sent_again() {
    let house = House::new();
    let ask = async |tag: &str| -> Answer {
        let request = Request::get("/v1/tree").header("host", "localhost").header("if-none-match", tag);
        house.send(request.body(Body::empty()).unwrap()).await
    };
    let first = ask("\"other\"").await;
    let tag = first.header("etag").to_owned();
    assert_eq!((first.status.as_u16(), tag.starts_with("W/\"")), (200, true));
    let again = ask(&format!("\"x\", {tag}")).await;
    assert_eq!((again.status.as_u16(), again.body.len(), again.header("etag")), (304, 0, tag.as_str()));
    house.operator.table.inbox(AGENT, 4, None, None);
    assert_eq!(ask(&tag).await.status, 200, "a depth is no change in the ring and still another tree");
    assert_eq!(house.get("/v1/tree?format=text").await.header("etag"), "", "ages are part of the text");

    let kinds = house.get("/v1/tree?kind=instance&depth=2").await.json();
    assert_eq!(kinds["nodes"][0]["root"]["children"][0]["children"][0]["children"], serde_json::json!([]));
    house.get("/v1/tree?depth=-1").await.problem(400, "bad_parameter");
}
