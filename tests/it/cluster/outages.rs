//! Servers that die, stop and are cut off under load. Recovery is the nodes' own: none of them is started again.

use std::time::{Duration, Instant};

use greenroom_contract::execution::Effect;
use kit::{
    chaos::{Load, Subject, cut_off, lasts, says_why},
    node::Cluster,
    servers::{Kind, Server, shared},
};

use super::LONG;

/// A node's memory may grow by so much in an outage, in KiB.
const GROWTH: u64 = 150 * 1024;
/// How long a cut lasts; the long run cuts for a minute.
const CUT: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn each_server_in_turn_dies_under_load_and_comes_back() {
    let mut broker = Server::start(Kind::RabbitMq).await;
    let (mut database, mut redis) = (Server::start(Kind::Postgres).await, Server::start(Kind::Redis).await);
    let cluster = Cluster::over(broker.url(), database.url(), redis.url());
    let load = Load::on(cluster, Subject::Tool(Effect::Keyed)).await;
    let (one, two) = (load.cluster.start("one", "all").await, load.cluster.start("two", "all").await);
    let nodes = [one.node(), two.node()];
    load.give_while(&nodes, lasts(Duration::from_secs(2))).await;
    let before = nodes.map(|node| node.process.resident_kib());

    load.give_while(&nodes, async {
        broker.kill().await;
        says_why(&one, "bus").await;
        broker.start_again().await;
        one.is_ready(true, LONG).await;
        two.is_ready(true, LONG).await;
    })
    .await;
    load.give_while(&nodes, async {
        database.stop().await;
        says_why(&two, "store").await;
        database.start_again().await;
        one.is_ready(true, LONG).await;
        two.is_ready(true, LONG).await;
    })
    .await;
    load.give_while(&nodes, async {
        database.kill().await;
        database.start_again().await;
        redis.kill().await;
        lasts(Duration::from_secs(1)).await;
        redis.start_again().await;
        one.is_ready(true, LONG).await;
        two.is_ready(true, LONG).await;
    })
    .await;
    let summary = load.judge(one.node()).await;
    assert_eq!((summary.succeeded, summary.failed), (summary.accepted, 0), "{summary:?}");
    for (node, before) in nodes.iter().zip(before) {
        let now = node.process.resident_kib();
        assert!(now < before + GROWTH, "memory went from {before} to {now} KiB");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_under_load_come_back() {
    let summary = cut_off(CUT).await;
    assert_eq!((summary.succeeded, summary.failed), (summary.accepted, 0), "{summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_out_of_memory_takes_nothing_more_and_loses_nothing() {
    let broker = Server::start(Kind::RabbitMq).await;
    let backends = shared().backends().await;
    let cluster = Cluster::over(broker.url(), &backends.database.url, &backends.redis.url);
    let load = Load::on(cluster, Subject::Tool(Effect::Keyed)).await;
    let (one, two) = (load.cluster.start("one", "all").await, load.cluster.start("two", "all").await);
    let nodes = [one.node(), two.node()];
    load.give_while(&nodes, lasts(Duration::from_secs(1))).await;
    load.give_while(&nodes, async {
        // Its alarm goes off at once, and it reads from no connection that publishes.
        broker.ctl(&["set_vm_memory_high_watermark", "0.0001"]).await;
        says_why(&one, "bus").await;
        says_why(&two, "bus").await;
        let told = one.node().get("/health/ready").await.text;
        assert!(told.contains("the broker blocks publishers"), "{told}");
        lasts(Duration::from_secs(3)).await;
        broker.ctl(&["set_vm_memory_high_watermark", "0.4"]).await;
        one.is_ready(true, LONG).await;
        two.is_ready(true, LONG).await;
    })
    .await;
    let summary = load.judge(one.node()).await;
    assert_eq!((summary.succeeded, summary.failed, summary.crashes), (summary.accepted, 0, 0), "{summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_dies_with_a_new_agents_queue_loses_none_of_its_events() {
    let mut broker = Server::start(Kind::RabbitMq).await;
    let backends = shared().backends().await;
    let cluster = Cluster::over(broker.url(), &backends.database.url, &backends.redis.url);
    let load = Load::on(cluster, Subject::Tool(Effect::Keyed)).await;
    // The agents are new to the broker: their queues are declared as the node starts, and it dies right after.
    let node = load.cluster.start("one", "all").await;
    let started = Instant::now();
    for number in 0..10 {
        load.give(&[node.node()], &format!("early-{number}")).await;
    }
    let given_in = started.elapsed();
    broker.kill().await;
    broker.start_again().await;
    let summary = load.judge(node.node()).await;
    assert_eq!((summary.succeeded, summary.accepted), (10, 10), "given within {given_in:?}: {summary:?}");
}
