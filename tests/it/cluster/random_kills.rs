//! `kill -9` of one of three nodes at random moments, under load, by the user's own means: `greenroom selftest --chaos`.
//! The long run is `cargo bench --bench chaos`.

use std::time::Duration;

use kit::{node::Home, servers::shared};
use serde_json::Value;

/// Half of the kills wait until a lease has run out.
const LIMIT: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread")]
async fn fifteen_kills_of_one_of_three_nodes_lose_nothing() {
    let (backends, home) = (shared().backends().await, Home::new());
    let arguments =
        ["selftest", "--chaos", "--nodes", "3", "--kills", "15", "--events", "150", "--seed", "11", "--json"];
    let launch = home.launch().envs(backends.variables()).env("TMPDIR", home.path().display().to_string());
    let mut selftest = launch.spawn(&arguments);
    let status = selftest.exit(LIMIT).await;
    let told = selftest.stdout();
    let told: Value = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{status}, {error}: {told}"));
    assert!(status.success(), "{told}");
    println!("{told:#}");
    let zeros = ["lost", "duplicated", "repaid"].map(|what| told[what].as_u64());
    assert_eq!((zeros, &told["accepted"]), ([Some(0); 3], &Value::from(150)), "{told}");
    assert_eq!(told["failed"], told["unknown"], "only what cannot be known may fail: {told}");
    // It leaves nothing on the broker but what every Greenroom declares.
    let queues = backends.amqp.ask("queues").await;
    let left: Vec<&Value> = queues.as_array().into_iter().flatten().map(|queue| &queue["name"]).collect();
    let ours = left.iter().filter(|name| name.as_str().is_some_and(|name| name.contains("selftest")));
    assert_eq!(ours.count(), 0, "{left:?}");
}
