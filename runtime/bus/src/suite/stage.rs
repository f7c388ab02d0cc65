//! What a behaviour is played on, and the few moves that all of them make.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use greenroom_contract::{
    BoxFuture, Event, EventId, Priority, TraceId,
    port::bus::{Bus, Delivery, Error, Publication, QueueInfo, QueueSpec, Receipt, Sharing, Subscription},
};
use serde_json::json;
use tokio::time::{sleep, timeout};

/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);
/// How long a thing that must not come is waited for.
const MOMENT: Duration = Duration::from_millis(60);

/// What an implementation makes of priorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priorities {
    /// The highest comes first.
    Strict,
    /// There are two classes, high and critical, and the rest; the first is preferred and does not come alone.
    TwoClasses,
    /// Everything comes as it was published: RabbitMQ 3.x, whose quorum queues know no priorities.
    Ignored,
}

/// An implementation, set up for one test.
pub trait Stage: Send + Sync + Sized {
    /// How many rejections bring a message to the dead letters.
    const DELIVERY_LIMIT: u32;
    /// Whether a rejected message keeps its place; else it goes behind what waits.
    const REJECTED_KEEPS_ITS_PLACE: bool = true;
    /// Whether a delivery is settled for good when the call returns. A broker does not confirm acknowledgements: killed a
    /// moment later, it may deliver once more what was accepted or rejected.
    const SETTLING_IS_DURABLE: bool = true;
    /// Whether queues that were declared by an earlier life of the process are counted before they are declared again.
    const REMEMBERS_QUEUES: bool = true;

    /// What priorities do.
    fn priorities(&self) -> Priorities {
        Priorities::Strict
    }

    /// The bus.
    fn bus(&self) -> Arc<dyn Bus>;

    /// Publishes bytes as they are.
    fn publish_raw(&self, topic: &str, body: Vec<u8>) -> BoxFuture<'_, Result<Receipt, Error>>;

    /// The bus as it is after this process and the broker were killed now.
    fn reopen(self) -> impl Future<Output = Self> + Send;
}

/// Waits for something that must happen.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.unwrap_or_else(|_| panic!("{what}: nothing came in {LIMIT:?}"))
}

/// The next delivery, which must come.
pub async fn next<T>(subscription: &mut Subscription<T>) -> T {
    soon("the next delivery", subscription.next()).await.expect("the subscription ended")
}

/// Makes sure that nothing comes for a moment.
pub async fn nothing<T: std::fmt::Debug>(subscription: &mut Subscription<T>) {
    if let Ok(came) = timeout(MOMENT, subscription.next()).await {
        panic!("{came:?} came, where nothing should have");
    }
}

/// Waits until a queue's counts are as they should be.
pub async fn until(bus: &dyn Bus, queue: &str, holds: impl Fn(&QueueInfo) -> bool) {
    let seen = async {
        loop {
            let infos = bus.queues().await.unwrap();
            if infos.iter().any(|info| info.name == queue && holds(info)) {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    if timeout(LIMIT, seen).await.is_err() {
        panic!("{queue} is not as it should be: {:?}", bus.queues().await);
    }
}

/// A name that no other test has.
pub fn unique(word: &str) -> String {
    format!("{word}-{}", EventId::new())
}

/// Declares a queue of competing consumers.
pub async fn declare(bus: &dyn Bus, name: &str, bindings: &[&str]) {
    declare_as(bus, name, bindings, Sharing::Competing).await;
}

pub async fn declare_as(bus: &dyn Bus, name: &str, bindings: &[&str], sharing: Sharing) {
    let bindings = bindings.iter().map(|text| text.parse().unwrap()).collect();
    bus.declare(QueueSpec { name: name.to_owned(), bindings, sharing }).await.unwrap();
}

/// An event that is recognised by a number.
pub fn event(topic: &str, n: u64) -> Event {
    Event::new(topic, "suite", TraceId::new(), json!({ "n": n }))
}

pub fn urgent(topic: &str, n: u64, priority: Priority) -> Event {
    Event { priority, ..event(topic, n) }
}

pub fn number(event: &Event) -> u64 {
    event.payload["n"].as_u64().unwrap()
}

pub fn command(event: Event) -> Publication {
    Publication { event, mandatory: true }
}

/// Publishes one event that a queue must take.
pub async fn publish(bus: &dyn Bus, event: Event) {
    publish_all(bus, [event]).await;
}

pub async fn publish_all(bus: &dyn Bus, events: impl IntoIterator<Item = Event>) {
    for answer in bus.publish(events.into_iter().map(command).collect()).await {
        answer.unwrap();
    }
}

/// Takes and accepts so many, and returns their numbers in the order of their arrival.
pub async fn take(subscription: &mut Subscription<Delivery>, count: usize) -> Vec<u64> {
    let mut numbers = Vec::with_capacity(count);
    for _ in 0..count {
        let delivery = next(subscription).await;
        numbers.push(number(&delivery.event));
        delivery.accept().await.unwrap();
    }
    numbers
}

/// How often each value occurs.
pub fn tally<T: Ord>(values: impl IntoIterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_insert(0) += 1;
    }
    counts
}
