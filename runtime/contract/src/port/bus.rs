//! The bus: a durable topic exchange with a queue for each subscriber.
//!
//! What every implementation promises, and the behaviour suite in `greenroom-bus` checks:
//!
//! * **Durability.** A publication that was confirmed survives `kill -9` of this process and of the broker.
//! * **At least once.** A delivery that was not settled comes again, to this or another consumer.
//! * **Order.** Within one queue and one priority, events arrive in the order of their publication, except that a
//!   delivery that comes again may come late: on RabbitMQ a rejected one goes behind what waits. Priorities are as the
//!   broker has them: strict on the embedded bus and on RabbitMQ from 4.3, two classes on 4.0 to 4.2, none on 3.x.
//! * **No second copy** of an event waits in one queue on the embedded bus; on others receivers must drop duplicates.
//! * **Cancellation.** Dropping the future of [`Bus::publish`] does not undo the publication: it may still happen.
//! * **Bounds.** A subscription holds at most its prefetch of unsettled deliveries; nothing buffers without limit.
//! * **Broadcasts** are the exception to all of this: said to every node that listens now, at most once, kept nowhere.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use super::{
    broadcast::Ring,
    lane::{LaneReceiver, lane},
};
pub use super::{
    broadcast::{Broadcast, Listeners, MAX_BROADCAST_BYTES},
    lane::LaneSender,
};
use crate::{BoxFuture, event::Event, execution::Failure, topic::TopicPattern};

/// The queue that takes what died on the bus, from every other queue.
pub const DEAD_LETTER_QUEUE: &str = "greenroom.dead";

/// The queue, and the topic, of what schedules want done. Nodes with the role orchestrator take it from there to the agents.
pub const SCHEDULED_TASKS: &str = "scheduled.tasks";

/// A failed call to the bus; each variant is a decision for the caller.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Nothing is bound to the topic and the publication was mandatory. Another try will not help until a queue is.
    #[error("no queue is bound to topic {topic:?}")]
    Unroutable {
        /// The topic.
        topic: String,
    },
    /// The bus cannot be reached or cannot write. Nothing was promised; try again later.
    #[error("the bus is unavailable: {reason}")]
    Unavailable {
        /// Why, for a person.
        reason: String,
    },
    /// No such queue: declare it first.
    #[error("queue {queue:?} does not exist")]
    UnknownQueue {
        /// The queue.
        queue: String,
    },
    /// The delivery was already given back (its channel or consumer is gone). It will come again.
    #[error("the delivery is no longer ours to settle")]
    Stale,
}

/// A queue and what it is bound to. Declaring it again changes its bindings to these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSpec {
    /// Its name, for example `agent.input.customer-support`.
    pub name: String,
    /// The topics that reach it. The queue's own name always does.
    pub bindings: Vec<TopicPattern>,
    /// How its consumers share it.
    pub sharing: Sharing,
}

/// How the consumers of a queue share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Each delivery goes to one of the consumers (pools).
    Competing,
    /// One consumer at a time gets all deliveries; when it goes, another takes over (continuous agents).
    SingleActive,
}

/// An event to publish under its `event_type`.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The event.
    pub event: Event,
    /// Whether it is an error that no queue takes it (commands), or legal (facts).
    pub mandatory: bool,
}

/// What the bus says of a confirmed publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// How many queues took it; `None` where the broker does not tell.
    pub queues: Option<u32>,
}

/// The bus.
pub trait Bus: Send + Sync + 'static {
    /// Declares a queue, or changes its bindings to those given. Idempotent. Resolves when publications can reach it, which
    /// on a broker takes until a new queue is old enough to keep what it confirms. A broker does not tell what is bound:
    /// there, bindings that another process made, or an earlier life of this one, are taken away by [`Bus::unbind`].
    fn declare(&self, queue: QueueSpec) -> BoxFuture<'_, Result<(), Error>>;

    /// Whether other nodes may consume the same queues.
    fn is_shared(&self) -> bool {
        false
    }

    /// Takes bindings away that an earlier life made, where the bus cannot know them by itself. Those that are not there are
    /// passed over; a queue that is not there is no error.
    fn unbind(&self, queue: &str, topics: Vec<TopicPattern>) -> BoxFuture<'_, Result<(), Error>> {
        let _ = (queue, topics);
        Box::pin(async { Ok(()) })
    }

    /// Unbinds a queue, and deletes it if it is empty; what waits in it stays and can be taken when it is declared again.
    fn retire(&self, queue: &str) -> BoxFuture<'_, Result<(), Error>>;

    /// Publishes in order, and resolves when each is confirmed durable or refused: one result for each, in order.
    fn publish(&self, batch: Vec<Publication>) -> BoxFuture<'_, Vec<Result<Receipt, Error>>>;

    /// Starts taking deliveries from a queue. At most `prefetch` are unsettled at any time.
    /// Bytes that are not an event never arrive here: they go to [`DEAD_LETTER_QUEUE`] at once.
    fn consume(&self, queue: &str, prefetch: usize) -> BoxFuture<'_, Result<Subscription<Delivery>, Error>>;

    /// Starts taking what died, from [`DEAD_LETTER_QUEUE`].
    fn consume_dead(&self, prefetch: usize) -> BoxFuture<'_, Result<Subscription<DeadDelivery>, Error>>;

    /// Says something to every node of the cluster that listens now, this one too. At most once, kept nowhere, and never
    /// held up by a slow listener; what one publisher says under one topic arrives in its order, with gaps perhaps.
    /// `Ok` means handed over, not heard. Fails when the bus is unavailable or the body is over [`MAX_BROADCAST_BYTES`].
    fn broadcast(&self, topic: &str, body: Bytes) -> BoxFuture<'_, Result<(), Error>>;

    /// Starts to hear broadcasts. What waits is bounded: a listener that lags loses the oldest. The subscription ends when
    /// the connection is lost: listen again, and ask again for what may have been said meanwhile.
    fn listen(&self, pattern: TopicPattern) -> BoxFuture<'_, Result<Subscription<Broadcast>, Error>>;

    /// How often the bus was connected again after it had lost its connection, to be watched: after each one, what was
    /// published and is not known to have arrived is published again. A bus that cannot lose its connection says nothing,
    /// and its sender may be gone.
    fn reconnects(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }

    /// Every queue with its counts (R2.6); on a broker, every queue that this process has declared, and the dead letters.
    fn queues(&self) -> BoxFuture<'_, Result<Vec<QueueInfo>, Error>>;

    /// How many wait in a queue, whoever declared it; `None` if there is no such queue.
    fn waiting(&self, queue: &str) -> BoxFuture<'_, Result<Option<u64>, Error>> {
        let queue = queue.to_owned();
        Box::pin(async move {
            let found = self.queues().await?.into_iter().find(|info| info.name == queue);
            Ok(found.map(|info| info.ready))
        })
    }

    /// Whether the bus can take a publication now, else why not.
    fn health(&self) -> BoxFuture<'_, Result<(), Error>>;
}

/// A queue's counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueInfo {
    /// Its name.
    pub name: String,
    /// Waiting to be delivered.
    pub ready: u64,
    /// Delivered and not settled, in the cluster where the broker tells, else in this process.
    pub unacknowledged: u64,
    /// Consumers attached, in the cluster where the broker tells, else in this process.
    pub consumers: u32,
}

/// Deliveries as they arrive. Dropping it cancels the consumer; what it holds goes back to the queue.
#[derive(Debug)]
pub struct Subscription<T> {
    source: Source<T>,
}

#[derive(Debug)]
enum Source<T> {
    Channel(mpsc::Receiver<T>),
    Lane(LaneReceiver<Box<T>>),
    Ring(Arc<Ring<T>>),
    Silent,
}

impl<T> Subscription<T> {
    /// Wraps the receiving end of an adapter's channel, whose capacity is the prefetch.
    pub fn new(receiver: mpsc::Receiver<T>) -> Self {
        Self { source: Source::Channel(receiver) }
    }

    /// Like [`Subscription::new`], for the many subscriptions that wait most of the time: a channel always keeps room
    /// for 32, which is 11 KiB of deliveries; this one weighs 0.1 KiB while it is empty.
    pub fn lane(prefetch: usize) -> (LaneSender<Box<T>>, Self) {
        let (sender, receiver) = lane(prefetch);
        (sender, Self { source: Source::Lane(receiver) })
    }

    /// One that nothing comes from and that never ends: for who takes its work from somewhere else.
    pub fn silent() -> Self {
        Self { source: Source::Silent }
    }

    pub(super) fn of_ring(ring: Arc<Ring<T>>) -> Self {
        Self { source: Source::Ring(ring) }
    }

    /// The next delivery; `None` when the bus ended the subscription (connection lost, queue deleted): consume again.
    /// Cancelling the future loses nothing.
    pub async fn next(&mut self) -> Option<T> {
        match &mut self.source {
            Source::Channel(receiver) => receiver.recv().await,
            Source::Lane(receiver) => receiver.next().await.map(|one| *one),
            Source::Ring(ring) => ring.next().await,
            Source::Silent => std::future::pending().await,
        }
    }
}

/// An event from a queue, to be settled exactly once. Dropping it unsettled gives it back to the queue.
pub struct Delivery {
    /// The event.
    pub event: Event,
    /// The queue.
    pub queue: String,
    /// How many times it was rejected before.
    pub rejections: u32,
    token: Box<dyn Settle>,
}

impl Delivery {
    /// Made by adapters.
    pub fn new(event: Event, queue: String, rejections: u32, token: Box<dyn Settle>) -> Self {
        Self { event, queue, rejections, token }
    }

    /// The event is durable elsewhere (its execution row is committed): take it off the queue.
    pub async fn accept(self) -> Result<(), Error> {
        self.token.settle(Verdict::Accept).await
    }

    /// Put it back, counted. At the queue's delivery limit it goes to the dead letters.
    pub async fn reject(self, reason: Failure) -> Result<(), Error> {
        self.token.settle(Verdict::Reject(reason)).await
    }

    /// No try can help: move it to the dead letters now.
    pub async fn dead(self, reason: Failure) -> Result<(), Error> {
        self.token.settle(Verdict::Dead(reason)).await
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("queue", &self.queue)
            .field("event_id", &self.event.event_id)
            .finish_non_exhaustive()
    }
}

/// What died on the bus. Settle it once it is written to the store's dead letters.
pub struct DeadDelivery {
    /// The bytes, an event or not.
    pub body: Vec<u8>,
    /// How it died.
    pub death: Death,
    token: Box<dyn Settle>,
}

impl DeadDelivery {
    /// Made by adapters.
    pub fn new(body: Vec<u8>, death: Death, token: Box<dyn Settle>) -> Self {
        Self { body, death, token }
    }

    /// It is in the store's dead letters: take it off the queue.
    pub async fn accept(self) -> Result<(), Error> {
        self.token.settle(Verdict::Accept).await
    }
}

impl std::fmt::Debug for DeadDelivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeadDelivery").field("death", &self.death).finish_non_exhaustive()
    }
}

/// How something died on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// The queue that it was in.
    pub queue: String,
    /// Why.
    pub reason: Failure,
    /// How many deliveries were made.
    pub attempts: u32,
    /// When it was published.
    pub first_at: Timestamp,
    /// When it died.
    pub dead_at: Timestamp,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Done.
    Accept,
    /// Again, counted.
    Reject(Failure),
    /// To the dead letters.
    Dead(Failure),
}

/// The adapter's half of a linear delivery token. An implementation whose `Drop` runs before [`Settle::settle`] gives
/// the delivery back to its queue without waiting.
pub trait Settle: Send + Sync {
    /// Consumes the token. [`Error::Stale`] when the delivery was already given back.
    fn settle(self: Box<Self>, verdict: Verdict) -> BoxFuture<'static, Result<(), Error>>;
}
