//! The port's methods, and the start.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use greenroom_contract::{
    BoxFuture, Clock, TopicPattern,
    port::bus::{
        Broadcast, Bus, DEAD_LETTER_QUEUE, DeadDelivery, Delivery, Error, Listeners, MAX_BROADCAST_BYTES, Publication,
        QueueInfo, QueueSpec, Receipt, Sharing, Subscription,
    },
    task,
};
use greenroom_sqlite::Database;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    core::{self, Core, Options},
    dispatch,
    outlet::Outlet,
    publish::{self, Message},
    queue::Queue,
    rows,
    topology::Topology,
};
use crate::finish::to_the_end;

/// More than this a subscription is never given, whatever it asks for.
const LARGEST_PREFETCH: usize = 10_000;
/// A health check that takes longer is an answer too.
const HEALTH_DEADLINE: Duration = Duration::from_secs(2);

/// The bus of a single machine. Its tasks end when it is dropped or nobody consumes; deliveries that are held then can
/// still be settled.
pub struct EmbeddedBus {
    core: Arc<Core>,
    topology: Arc<Topology>,
    listeners: Listeners,
    closing: CancellationToken,
    _closes: DropGuard,
}

impl EmbeddedBus {
    /// Starts the bus on a database that was opened with [`super::MIGRATIONS`], with its queues and bindings as they were.
    /// Fails when the file cannot be written.
    pub async fn start(db: Database, clock: Arc<dyn Clock>) -> Result<Arc<Self>, Error> {
        Self::start_with(db, clock, Options::default()).await
    }

    /// Like [`Self::start`], with other options.
    pub async fn start_with(db: Database, clock: Arc<dyn Clock>, options: Options) -> Result<Arc<Self>, Error> {
        let (stored, last_id, dead_letters) = core::write(&db, |conn| {
            rows::sweep_out(conn)?;
            let (id, newest) = rows::declare(conn, DEAD_LETTER_QUEUE, Sharing::Competing, &[])?;
            Ok((rows::queues(conn)?, rows::last_id(conn)?, (id, newest)))
        })
        .await?;
        let (id, newest) = dead_letters;
        let dead_letters = Arc::new(Queue::new(id, DEAD_LETTER_QUEUE, Sharing::Competing, newest));
        let topology = Arc::new(Topology::load(stored, &dead_letters));
        let core = Arc::new(Core::new(db, clock, last_id, dead_letters, options.delivery_limit));
        let closing = CancellationToken::new();
        let recheck = recheck(Arc::clone(&topology), options.recheck_every);
        let until_closed = closing.clone();
        drop(task::spawn("bus-recheck", async move { until_closed.run_until_cancelled(recheck).await }));
        let _closes = closing.clone().drop_guard();
        Ok(Arc::new(Self { core, topology, listeners: Listeners::default(), closing, _closes }))
    }

    /// Publishes bytes as they are, event or not, under a topic that a queue must take. Bytes that are no event reach the
    /// dead letters instead of a consumer. For tests, and for doors that must not lose what they cannot read.
    pub fn publish_raw(&self, topic: &str, body: Vec<u8>) -> BoxFuture<'static, Result<Receipt, Error>> {
        let message = Message::bytes(topic, body, self.topology.route(topic));
        let publish = publish::publish(Arc::clone(&self.core), vec![message]);
        to_the_end("bus-publish", async move {
            let answers = publish.await;
            answers.into_iter().next().unwrap_or(Ok(Receipt { queues: Some(0) }))
        })
    }

    fn subscribe(&self, queue: &str, outlet: Outlet, prefetch: usize) -> Result<(), Error> {
        let unknown = || Error::UnknownQueue { queue: queue.to_owned() };
        let found = self.topology.find(queue).ok_or_else(unknown)?;
        if found.seat(outlet, prefetch).ok_or_else(unknown)? {
            let serve = dispatch::serve(Arc::clone(&self.core), found, self.closing.clone());
            drop(task::spawn("bus-queue", serve));
        }
        Ok(())
    }

    async fn counts(&self) -> Result<Vec<QueueInfo>, Error> {
        let depths: HashMap<i64, u64> = self.core.read(rows::depths).await?.into_iter().collect();
        let mut infos: Vec<QueueInfo> = self.topology.all().iter().map(|queue| info(queue, &depths)).collect();
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(infos)
    }
}

impl Bus for EmbeddedBus {
    fn declare(&self, queue: QueueSpec) -> BoxFuture<'_, Result<(), Error>> {
        to_the_end("bus-declare", Arc::clone(&self.topology).declare(Arc::clone(&self.core), queue))
    }

    fn retire(&self, queue: &str) -> BoxFuture<'_, Result<(), Error>> {
        if queue == DEAD_LETTER_QUEUE {
            // It always exists.
            return Box::pin(async { Ok(()) });
        }
        to_the_end("bus-retire", Arc::clone(&self.topology).retire(Arc::clone(&self.core), queue.to_owned()))
    }

    fn publish(&self, batch: Vec<Publication>) -> BoxFuture<'_, Vec<Result<Receipt, Error>>> {
        let (core, topology) = (Arc::clone(&self.core), Arc::clone(&self.topology));
        to_the_end("bus-publish", async move {
            let route = |publication: Publication| {
                let queues = topology.route(&publication.event.event_type);
                Message::event(publication, queues)
            };
            publish::publish(core, batch.into_iter().map(route).collect()).await
        })
    }

    fn consume(&self, queue: &str, prefetch: usize) -> BoxFuture<'_, Result<Subscription<Delivery>, Error>> {
        let queue = queue.to_owned();
        Box::pin(async move {
            if queue == DEAD_LETTER_QUEUE {
                // What died has a death, which a delivery has no room for.
                return Err(Error::UnknownQueue { queue });
            }
            let prefetch = prefetch.clamp(1, LARGEST_PREFETCH);
            let (sender, subscription) = Subscription::lane(prefetch);
            self.subscribe(&queue, Outlet::Events(sender), prefetch)?;
            Ok(subscription)
        })
    }

    fn consume_dead(&self, prefetch: usize) -> BoxFuture<'_, Result<Subscription<DeadDelivery>, Error>> {
        Box::pin(async move {
            let prefetch = prefetch.clamp(1, LARGEST_PREFETCH);
            let (sender, receiver) = mpsc::channel(prefetch);
            self.subscribe(DEAD_LETTER_QUEUE, Outlet::DeadLetters(sender), prefetch)?;
            Ok(Subscription::new(receiver))
        })
    }

    fn broadcast(&self, topic: &str, body: Bytes) -> BoxFuture<'_, Result<(), Error>> {
        let topic = topic.to_owned();
        Box::pin(async move {
            if body.len() > MAX_BROADCAST_BYTES {
                let reason = format!("a broadcast of {} bytes is over {MAX_BROADCAST_BYTES}", body.len());
                return Err(Error::Unavailable { reason });
            }
            self.listeners.tell(&Broadcast { topic, body });
            Ok(())
        })
    }

    fn listen(&self, pattern: TopicPattern) -> BoxFuture<'_, Result<Subscription<Broadcast>, Error>> {
        Box::pin(async move { Ok(self.listeners.listen(pattern)) })
    }

    fn queues(&self) -> BoxFuture<'_, Result<Vec<QueueInfo>, Error>> {
        Box::pin(self.counts())
    }

    fn health(&self) -> BoxFuture<'_, Result<(), Error>> {
        let now = self.core.now();
        Box::pin(async move {
            let write = self.core.write(move |conn| rows::touch(conn, now));
            timeout(HEALTH_DEADLINE, write).await.unwrap_or_else(|_| {
                let reason = format!("the database took no write for {} s", HEALTH_DEADLINE.as_secs());
                Err(Error::Unavailable { reason })
            })
        })
    }
}

impl std::fmt::Debug for EmbeddedBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedBus").finish_non_exhaustive()
    }
}

fn info(queue: &Queue, depths: &HashMap<i64, u64>) -> QueueInfo {
    let (unacknowledged, consumers) = queue.counts();
    let depth = depths.get(&queue.arrivals().queue()).copied().unwrap_or(0);
    // What is out is still in the file until it is accepted.
    QueueInfo { name: queue.name().to_owned(), ready: depth.saturating_sub(unacknowledged), unacknowledged, consumers }
}

/// Looks now and then whether a queue missed something.
async fn recheck(topology: Arc<Topology>, every: Duration) {
    // An interval of nothing would panic.
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for queue in topology.all() {
            queue.recheck();
        }
    }
}
