//! Nodes die while schedules fire.

use std::{collections::BTreeSet, time::Duration};

use jiff::SignedDuration;
use kit::{
    node::{Cluster, Home, Node},
    servers::shared,
    wait,
};
use serde_json::{Value, json};

use crate::cast::scripted;

const WHILE: Duration = wait::PATIENCE;

fn ticker() -> String {
    scripted("ticker", r#"[{reply: "done"}]"#, "schedule: {every: 1s, missed: all, overlap: allow}\n")
}

async fn firings(node: &Node) -> Vec<Value> {
    let shown = node.get("/v1/schedules/ticker").await.expect(200).json;
    let mut firings = shown["firings"].as_array().cloned().unwrap_or_default();
    firings.reverse();
    firings
}

/// Every second once, each with one execution that is done; nothing of it twice.
async fn each_once(node: &Node, least: usize) {
    node.post("/v1/schedules/ticker/pause", &json!({})).await.expect(200);
    let done = wait::seen("all to be done", WHILE, async || {
        let firings = firings(node).await;
        let over = firings.iter().all(|one| one["execution_status"] == "succeeded");
        if over && firings.len() >= least { Ok(firings) } else { Err(format!("{firings:#?}")) }
    })
    .await;
    let times: Vec<jiff::Timestamp> = done.iter().map(|one| one["due_at"].as_str().unwrap().parse().unwrap()).collect();
    for pair in times.windows(2) {
        assert_eq!(pair[1].duration_since(pair[0]), SignedDuration::from_secs(1), "{done:#?}");
    }
    let fired: BTreeSet<String> = done.iter().map(|one| one["execution_id"].to_string()).collect();
    let newest = node.executions("ticker").await;
    let found: BTreeSet<String> = newest.iter().map(|one| one["execution_id"].to_string()).collect();
    assert_eq!(found.len(), newest.len());
    assert!(found.is_superset(&fired), "an execution for each firing");
    // Twenty firings are shown; there is nothing else that came of this time.
    let first = done[0]["due_at"].as_str().unwrap();
    let of_these = newest.iter().filter(|one| one["input"]["scheduled_at"].as_str().unwrap() >= first).count();
    assert_eq!(of_these, fired.len(), "and one only");
}

// R3.6
#[tokio::test(flavor = "multi_thread")]
async fn of_three_schedulers_one_is_killed_and_each_time_fires_once() {
    let cluster = Cluster::new().await;
    cluster.home().agent("ticker", &ticker());
    let mut nodes = Vec::new();
    for name in ["one", "two", "three"] {
        nodes.push(cluster.start(name, "all").await);
    }
    let so_many = async |node: &Node, many: usize| {
        wait::seen("firings", WHILE, async || match firings(node).await.len() {
            found if found >= many => Ok(()),
            found => Err(found),
        })
        .await;
    };
    so_many(nodes[2].node(), 3).await;
    nodes[0].kill9().await;
    so_many(nodes[2].node(), 7).await;
    nodes[1].kill9().await;
    nodes[0].start().await;
    so_many(nodes[2].node(), 11).await;
    each_once(nodes[2].node(), 11).await;
}

/// Everywhere on the way of a firing, from its time to its agent's inbox.
const PLACES: [&str; 8] = [
    "before fire 1 ticker",
    "after fire 1 ticker",
    "before publish 1 scheduled.tasks",
    "after publish 1 scheduled.tasks",
    "before door 1 agent.input.ticker",
    "after door 1 agent.input.ticker",
    "before acknowledge 1 scheduled.tasks",
    "after acknowledge 1 scheduled.tasks",
];

// R3.6
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_anywhere_on_the_way_of_a_firing_fires_once() {
    for place in PLACES {
        let home = Home::new();
        dies_at(&home, place, &[]).await;
    }
}

// R3.6
#[tokio::test(flavor = "multi_thread")]
async fn on_the_clusters_backends_it_does_so_too() {
    for place in PLACES {
        let (home, backends) = (Home::new(), shared().backends().await);
        dies_at(&home, place, &backends.variables()).await;
    }
}

async fn dies_at(home: &Home, place: &str, variables: &[(String, String)]) {
    home.agent("ticker", &ticker());
    let trap = home.path().join("trap");
    std::fs::write(&trap, place).unwrap();
    let launch = || {
        let launch = home.launch().envs(variables.iter().cloned());
        launch.env("GREENROOM_NODE", "only").env("GREENROOM_CRASH_FILE", trap.display().to_string())
    };
    let mut process = launch().spawn(&["up"]);
    assert!(!process.exit(WHILE).await.success(), "{place}");
    std::fs::remove_file(&trap).unwrap();
    let node = launch().start().await;
    wait::seen(&format!("firings after it died {place}"), WHILE, async || {
        let firings = firings(&node).await;
        if firings.len() >= 3 { Ok(()) } else { Err(format!("{firings:#?}")) }
    })
    .await;
    each_once(&node, 3).await;
    assert!(node.stop().await.success());
}
