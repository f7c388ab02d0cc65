//! A queue whose arguments change: they cannot, so another takes its name, and what waits in the old one is taken first.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, time::Duration};

use greenroom_bus::AmqpBus;
use greenroom_contract::{
    Event, TraceId,
    execution::Failure,
    port::bus::{Bus, Delivery, Publication, QueueSpec, Sharing, Subscription},
};
use kit::{
    node::Cluster,
    servers::{Vhost, shared},
    wait,
};
use serde_json::{Value, json};

use super::{LONG, bus_on_rabbitmq::connect};
use crate::cast::saying;

const NAME: &str = "agent.input.a";

fn queue(sharing: Sharing, topics: &[&str]) -> QueueSpec {
    let bindings = topics.iter().map(|topic| topic.parse().unwrap()).collect();
    QueueSpec { name: NAME.to_owned(), bindings, sharing }
}

async fn publish(bus: &AmqpBus, topic: &str, numbers: std::ops::Range<u64>) {
    let event = |n: u64| Event::new(topic, "test", TraceId::new(), json!({ "n": n }));
    let batch = numbers.map(|n| Publication { event: event(n), mandatory: true }).collect();
    assert!(bus.publish(batch).await.iter().all(Result::is_ok));
}

async fn next(deliveries: &mut Subscription<Delivery>) -> Delivery {
    tokio::time::timeout(LONG, deliveries.next()).await.unwrap().unwrap()
}

async fn take(deliveries: &mut Subscription<Delivery>, count: usize) -> Vec<u64> {
    let mut taken = Vec::new();
    for _ in 0..count {
        let delivery = next(deliveries).await;
        assert_eq!(delivery.queue, NAME, "what the broker calls it is no matter");
        taken.push(delivery.event.payload["n"].as_u64().unwrap());
        delivery.accept().await.unwrap();
    }
    taken
}

/// The agents' queues that the broker has, with the names of their arguments' values that say how they are shared.
async fn queues(vhost: &Vhost) -> BTreeMap<String, bool> {
    let all = vhost.ask("queues").await;
    let each = all.as_array().into_iter().flatten().filter(|one| one["name"].as_str().is_some_and(is_an_agents));
    let single = |one: &Value| one["arguments"]["x-single-active-consumer"] == json!(true);
    each.map(|one| (one["name"].as_str().unwrap_or_default().to_owned(), single(one))).collect()
}

fn is_an_agents(name: &str) -> bool {
    name.starts_with("agent.input.")
}

async fn queues_are(vhost: &Vhost, expected: &[(&str, bool)]) {
    let expected: BTreeMap<String, bool> =
        expected.iter().map(|(name, single)| ((*name).to_owned(), *single)).collect();
    wait::seen(&format!("the queues to be {expected:?}"), LONG, async || {
        let found = queues(vhost).await;
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_in_the_old_queue_comes_first_and_then_it_is_deleted() {
    let vhost = shared().vhost().await;
    let bus = connect(&vhost.url).await;
    bus.declare(queue(Sharing::Competing, &["orders.*", "bills.paid"])).await.unwrap();
    publish(&bus, NAME, 0..20).await;
    // It is to be shared otherwise, and listens to less.
    bus.declare(queue(Sharing::SingleActive, &["orders.*"])).await.unwrap();
    queues_are(&vhost, &[(NAME, false), ("agent.input.a.v2", true)]).await;
    publish(&bus, "orders.new", 20..30).await;
    publish(&bus, NAME, 30..40).await;
    assert_eq!(bus.waiting(NAME).await.unwrap(), Some(40));
    let counted = bus.queues().await.unwrap();
    let counted: Vec<_> = counted.iter().filter(|info| info.name.starts_with(NAME)).map(|info| info.ready).collect();
    assert_eq!(counted, [40], "one name, one count");
    let bindings = vhost.ask("bindings").await;
    let left =
        bindings.as_array().into_iter().flatten().filter(|one| one["destination"] == NAME && one["source"] != "");
    assert_eq!(left.count(), 0, "nothing leads to the old one: {bindings}");

    let mut deliveries = bus.consume(NAME, 1).await.unwrap();
    // One that is rejected on the old queue goes behind what waits on the new one, and is not lost.
    let poison = next(&mut deliveries).await;
    assert_eq!(poison.event.payload["n"], 0);
    poison.reject(Failure::new("test", "not now")).await.unwrap();
    let mut expected: Vec<u64> = (1..40).collect();
    expected.push(0);
    assert_eq!(take(&mut deliveries, 40).await, expected);
    queues_are(&vhost, &[("agent.input.a.v2", true)]).await;
    // The subscription has gone on, and another process finds the queue by its name.
    publish(&bus, NAME, 40..41).await;
    assert_eq!(take(&mut deliveries, 1).await, [40]);
    drop(deliveries);
    let other = connect(&vhost.url).await;
    other.declare(queue(Sharing::SingleActive, &["orders.*"])).await.unwrap();
    publish(&other, "orders.new", 41..42).await;
    let mut deliveries = other.consume(NAME, 1).await.unwrap();
    assert_eq!(take(&mut deliveries, 1).await, [41]);
    queues_are(&vhost, &[("agent.input.a.v2", true)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_follows_and_a_change_back_loses_nothing() {
    let vhost = shared().vhost().await;
    let bus = connect(&vhost.url).await;
    let mut came = Vec::new();
    let turns = [Sharing::Competing, Sharing::SingleActive, Sharing::Competing, Sharing::SingleActive];
    for (n, sharing) in (0..).zip(turns) {
        bus.declare(queue(sharing, &[])).await.unwrap();
        publish(&bus, NAME, n * 10..n * 10 + 10).await;
        let mut deliveries = bus.consume(NAME, 4).await.unwrap();
        // Half is taken, half is left for the next.
        came.extend(take(&mut deliveries, 5).await);
        let ended = async { while deliveries.next().await.is_some() {} };
        if n == 0 {
            // Somebody who consumes while it changes is told to begin anew.
            bus.declare(queue(Sharing::SingleActive, &[])).await.unwrap();
            tokio::time::timeout(LONG, ended).await.unwrap();
        }
    }
    let mut deliveries = bus.consume(NAME, 4).await.unwrap();
    came.extend(take(&mut deliveries, 40 - came.len()).await);
    came.sort_unstable();
    assert_eq!(came, (0..40).collect::<Vec<_>>());
    wait::seen("one queue to be left", LONG, async || match queues(&vhost).await {
        left if left.len() == 1 => Ok(()),
        more => Err(format!("{more:?}")),
    })
    .await;
    assert!(tokio::time::timeout(Duration::from_millis(300), deliveries.next()).await.is_err(), "nothing came twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_becomes_continuous_keeps_what_was_sent_to_it_while_a_node_is_killed() {
    let backends = shared().backends().await;
    let cluster = Cluster::over(&backends.amqp.url, &backends.database.url, &backends.redis.url);
    let modes = |mode: &str| saying("a", mode).replace("autonomous", mode);
    cluster.home().agent("a", &modes("autonomous"));
    let (mut one, two) = (cluster.start("one", "all").await, cluster.start("two", "all").await);
    two.node().agent_is("a", &["idle"], LONG).await;
    let mut given = Vec::new();
    for n in 0..30 {
        if n == 10 {
            cluster.home().agent("a", &modes("continuous"));
        }
        if n == 15 {
            one.kill9().await;
        }
        given.push(two.node().submit("a", &format!("piece {n}")).await);
    }
    for id in &given {
        two.node().execution_is(id, &["succeeded"], LONG).await;
    }
    one.start().await;
    queues_are(&backends.amqp, &[("agent.input.a.v2", true)]).await;
    assert_eq!(two.node().ask("a", "and now?").await.json["output"], "continuous");
}
