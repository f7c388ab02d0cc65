//! What the bus on RabbitMQ does when its broker is killed, cut off, frozen, or not there.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt;
use greenroom_bus::{AmqpBus, amqp};
use greenroom_contract::{
    Event, TraceId,
    port::bus::{Bus, Error, Publication, QueueSpec, Sharing},
    task,
};
use kit::{
    proxy::Proxy,
    servers::{Kind, Server, shared},
    wait,
};
use serde_json::json;

use super::bus_on_rabbitmq::connect;

const LIMIT: Duration = wait::PATIENCE;

fn queue(name: &str) -> QueueSpec {
    QueueSpec { name: name.to_owned(), bindings: Vec::new(), sharing: Sharing::Competing }
}

fn event(topic: &str, n: u64) -> Event {
    Event::new(topic, "test", TraceId::new(), json!({ "n": n }))
}

async fn publish(bus: &AmqpBus, topic: &str, n: u64) -> Result<(), Error> {
    let batch = vec![Publication { event: event(topic, n), mandatory: true }];
    bus.publish(batch).await.pop().unwrap().map(drop)
}

/// Takes and accepts until so many different events have come.
async fn take(bus: &AmqpBus, name: &str, count: usize) -> BTreeSet<u64> {
    let mut deliveries = wait::seen("a subscription", LIMIT, async || bus.consume(name, 10).await).await;
    let mut seen = BTreeSet::new();
    let all = async {
        while seen.len() < count {
            let delivery = deliveries.next().await.unwrap();
            seen.insert(delivery.event.payload["n"].as_u64().unwrap());
            delivery.accept().await.ok();
        }
    };
    tokio::time::timeout(LIMIT, all).await.ok();
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_subscriptions_than_a_connection_takes_share_several() {
    let vhost = shared().vhost().await;
    let options =
        amqp::Options { name: "many".to_owned(), subscriptions_per_connection: 2, ..amqp::Options::default() };
    let bus = AmqpBus::start(&vhost.url, options).await.unwrap();
    let names: Vec<String> = (0..5).map(|n| format!("many.{n}")).collect();
    for name in &names {
        wait::seen("the queue to be declared", LIMIT, async || bus.declare(queue(name)).await).await;
    }
    let each = names.iter().zip(0..).map(async |(name, n)| {
        let mut deliveries = bus.consume(name, 10).await.unwrap();
        publish(&bus, name, n).await.unwrap();
        let delivery = tokio::time::timeout(LIMIT, deliveries.next()).await.unwrap().unwrap();
        assert_eq!(delivery.event.payload["n"], n);
        delivery.accept().await.unwrap();
        deliveries
    });
    let held = futures::future::join_all(each).await;
    wait::seen("three connections that consume", LIMIT, async || {
        let consumers = vhost.ask("consumers").await;
        let all = consumers.as_array().into_iter().flatten();
        let connections: BTreeSet<&str> =
            all.filter_map(|one| one["channel_details"]["connection_name"].as_str()).collect();
        if connections.len() == 3 { Ok(()) } else { Err(consumers.to_string()) }
    })
    .await;
    // A seat that is free again can be taken.
    drop(held);
    let again = wait::seen("a subscription", LIMIT, async || bus.consume(&names[0], 10).await).await;
    drop(again);
}

/// The broker closes the channel of each such question, and a connection has 2,047 of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_after_queues_that_are_missing_use_no_connection_up() {
    let vhost = shared().vhost().await;
    let bus = connect(&vhost.url).await;
    for number in 0..800 {
        let refused = bus.consume(&format!("missing.{number}"), 1).await.err();
        assert!(matches!(refused, Some(Error::UnknownQueue { .. })), "question {number}: {refused:?}");
    }
    bus.declare(queue("there")).await.unwrap();
    publish(&bus, "there", 1).await.unwrap();
    assert_eq!(take(&bus, "there", 1).await, BTreeSet::from([1]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_confirmed_is_lost_when_the_broker_dies_with_a_new_queue() {
    let mut server = Server::start(Kind::RabbitMq).await;
    let bus = connect(server.url()).await;
    let declared = Instant::now();
    let declaring = {
        let bus = Arc::clone(&bus);
        task::spawn("declare", async move { bus.declare(queue("agent.input.new")).await })
    };
    // Publications come in from the first moment on; each is one that a door may have accepted.
    let publishing = {
        let bus = Arc::clone(&bus);
        task::spawn("publish", async move {
            let mut confirmed = BTreeSet::new();
            for n in 0..20 {
                if publish(&bus, "agent.input.new", n).await.is_ok() {
                    confirmed.insert(n);
                }
            }
            confirmed
        })
    };
    wait::until("half a second to pass", LIMIT, async || declared.elapsed() > Duration::from_millis(400)).await;
    server.kill().await;
    drop(declaring.await);
    server.start_again().await;
    let confirmed = publishing.await.unwrap();
    // Whatever became of the queue, it can be declared, published into and consumed now.
    wait::seen("the declaration", LIMIT, async || bus.declare(queue("agent.input.new")).await).await;
    wait::seen("a publication", LIMIT, async || publish(&bus, "agent.input.new", 99).await).await;
    let seen = take(&bus, "agent.input.new", confirmed.len() + 1).await;
    assert!(confirmed.is_subset(&seen) && seen.contains(&99), "confirmed {confirmed:?}, came {seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fact_does_not_pass_by_a_subscriber_whose_queue_could_not_be_made_yet() {
    let vhost = shared().vhost().await;
    let proxy = Proxy::before(&vhost.url).await;
    proxy.cut();
    let options = amqp::Options { settle: Duration::from_millis(100), ..amqp::Options::default() };
    let bus = AmqpBus::start(proxy.url(), options).await.unwrap();
    let listener = QueueSpec { bindings: vec!["kit.said".parse().unwrap()], ..queue("agent.input.listener") };
    assert!(matches!(bus.declare(listener.clone()).await, Err(Error::Unavailable { .. })));
    proxy.heal();
    wait::seen("the bus to be connected", LIMIT, async || bus.health().await).await;
    let tell = async |topic: &str, n: u64| {
        bus.publish(vec![Publication { event: event(topic, n), mandatory: false }]).await.pop().unwrap()
    };
    // Nobody is bound to it now; it is not told to nobody, but refused, to be told again.
    let refused = tell("kit.said", 1).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    assert!(tell("kit.other", 2).await.is_ok(), "it concerns nobody");
    bus.declare(listener).await.unwrap();
    tell("kit.said", 3).await.unwrap();
    assert_eq!(take(&bus, "agent.input.listener", 1).await, BTreeSet::from([3]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_goes_on_after_the_broker_came_back() {
    let mut server = Server::start(Kind::RabbitMq).await;
    let bus = connect(server.url()).await;
    bus.declare(queue("agent.input.a")).await.unwrap();
    let mut deliveries = bus.consume("agent.input.a", 4).await.unwrap();
    publish(&bus, "agent.input.a", 1).await.unwrap();
    let held = deliveries.next().await.unwrap();
    let reconnects = bus.reconnects();
    server.kill().await;
    wait::until("the bus to notice", LIMIT, async || bus.health().await.is_err()).await;
    let refused = publish(&bus, "agent.input.a", 2).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused}");
    assert!(matches!(bus.consume("agent.input.a", 1).await, Err(Error::Unavailable { .. })));
    server.start_again().await;
    // The old delivery is nobody's any more, and comes again by the same subscription.
    let again = tokio::time::timeout(LIMIT, deliveries.next()).await.unwrap().unwrap();
    assert!(matches!(held.accept().await, Err(Error::Stale)));
    assert_eq!(again.event.payload["n"], 1);
    again.accept().await.unwrap();
    wait::seen("a publication", LIMIT, async || publish(&bus, "agent.input.a", 3).await).await;
    assert_eq!(deliveries.next().await.unwrap().event.payload["n"], 3);
    assert_eq!(*reconnects.borrow(), 1);
}

/// An agent that is woken while its queue is just being watched, for one. Where one consumer has all, one that nobody reads would
/// have it for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_given_up_while_it_is_made_holds_up_nobody() {
    let vhost = shared().vhost().await;
    let bus = connect(&vhost.url).await;
    bus.declare(QueueSpec { sharing: Sharing::SingleActive, ..queue("agent.input.a") }).await.unwrap();
    // Given up at many points of its way.
    for step in 0..60 {
        let patience = Duration::from_micros(150 * step);
        drop(tokio::time::timeout(patience, bus.consume("agent.input.a", 1)).await);
    }
    publish(&bus, "agent.input.a", 7).await.unwrap();
    let mut deliveries = bus.consume("agent.input.a", 1).await.unwrap();
    let delivery = tokio::time::timeout(LIMIT, deliveries.next()).await.unwrap().unwrap();
    assert_eq!(delivery.event.payload["n"], 7);
    delivery.accept().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_connection_ends_what_is_in_flight_and_heals() {
    let vhost = shared().vhost().await;
    let proxy = Proxy::before(&vhost.url).await;
    let bus = connect(proxy.url()).await;
    bus.declare(queue("agent.input.a")).await.unwrap();
    // Confirms do not come back: the publication is in flight.
    proxy.stall();
    let mut publishing = bus.publish(vec![Publication { event: event("agent.input.a", 1), mandatory: true }]);
    assert!((&mut publishing).now_or_never().is_none());
    let cut = Instant::now();
    proxy.cut();
    let answer = publishing.await.pop().unwrap();
    // Far below the time that a confirm has.
    assert!(matches!(answer, Err(Error::Unavailable { .. })) && cut.elapsed() < LIMIT, "{answer:?}");
    proxy.heal();
    wait::seen("a publication", LIMIT, async || publish(&bus, "agent.input.a", 2).await).await;
    assert!(take(&bus, "agent.input.a", 1).await.contains(&2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_broker_refuses_and_is_used_again() {
    let server = Server::start(Kind::RabbitMq).await;
    let options = amqp::Options {
        confirm_deadline: Duration::from_secs(1),
        heartbeat: Duration::from_secs(2),
        ..amqp::Options::default()
    };
    let bus = AmqpBus::start(server.url(), options).await.unwrap();
    wait::seen("the bus to be connected", LIMIT, async || bus.health().await).await;
    bus.declare(queue("agent.input.a")).await.unwrap();
    server.freeze();
    // Nobody is kept for ever, and nothing is said to be confirmed. Later ones are refused at once or after their time.
    for n in 0..5 {
        let answer = tokio::time::timeout(LIMIT, publish(&bus, "agent.input.a", n)).await.unwrap();
        assert!(matches!(answer, Err(Error::Unavailable { .. })), "{answer:?}");
    }
    server.thaw();
    wait::seen("a publication", LIMIT, async || publish(&bus, "agent.input.a", 9).await).await;
    assert!(take(&bus, "agent.input.a", 1).await.iter().any(|n| *n <= 9));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_not_there_is_no_error_at_the_start_and_no_secret_is_told() {
    let bus = AmqpBus::start("amqp://guest:s3cret@127.0.0.1:9/", amqp::Options::default()).await.unwrap();
    let reason = wait::seen("a reason", LIMIT, async || match bus.health().await {
        Err(error) if error.to_string().contains("127.0.0.1:9") => Ok(error.to_string()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert!(!reason.contains("s3cret"), "{reason}");
    let refused = [
        bus.declare(queue("a")).await.unwrap_err(),
        publish(&bus, "a", 1).await.unwrap_err(),
        bus.consume("a", 1).await.unwrap_err(),
        bus.queues().await.unwrap_err(),
    ];
    assert!(refused.iter().all(|error| matches!(error, Error::Unavailable { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_takes_is_returned_to_the_one_who_published_it() {
    // Many at once, every third to nowhere: the client does not say which return belongs to which confirm.
    let vhost = shared().vhost().await;
    let bus = connect(&vhost.url).await;
    bus.declare(queue("agent.input.a")).await.unwrap();
    let one = |n: u64| {
        let bus = Arc::clone(&bus);
        async move {
            let topic = |n: u64| if n.is_multiple_of(3) { format!("nowhere.{n}") } else { "agent.input.a".to_owned() };
            let batch = (n..n + 30).map(|n| Publication { event: event(&topic(n), n), mandatory: true }).collect();
            for (n, answer) in (n..).zip(bus.publish(batch).await) {
                let expected = n.is_multiple_of(3);
                assert_eq!(matches!(answer, Err(Error::Unroutable { .. })), expected, "{n}: {answer:?}");
                assert_eq!(answer.is_ok(), !expected, "{n}: {answer:?}");
            }
        }
    };
    futures::future::join_all((0..20).map(|n| one(n * 1_000))).await;
}
