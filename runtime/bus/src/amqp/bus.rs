//! The port's methods, and the start.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use greenroom_contract::{
    BoxFuture, Clock, TopicPattern,
    clock::SystemClock,
    port::bus::{
        Broadcast, Bus, DEAD_LETTER_QUEUE, DeadDelivery, Delivery, Error, Publication, QueueInfo, QueueSpec, Receipt,
        Subscription,
    },
    task,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    address::Address,
    call::{Trouble, unavailable},
    consumer::{Counter, Outlet, Owner, Tap},
    counts,
    ears::Ears,
    ledger::Ledger,
    lines::Lines,
    link::{Link, Setup, Up},
    message::{self, Parcel},
    old,
    options::{CONNECT, LARGE, LARGEST_PREFETCH, Options, SUSPICION},
    publish::{Outcome, Publisher},
    queue::find,
    roster::Roster,
    token::Desk,
    topology::Topology,
    turns::Turns,
};
use crate::finish::to_the_end;

/// How long a publication waits for a queue that is too young, beyond the queue's own time.
const YOUNG_PATIENCE: Duration = Duration::from_secs(3);

/// Parcels with their places in the caller's batch.
type Numbered = Vec<(usize, Parcel)>;

/// The bus of a cluster. Its tasks end and its connections close when it is dropped; deliveries that are held then are
/// stale and come again.
pub struct AmqpBus {
    inner: Arc<Inner>,
    closing: CancellationToken,
    _closes: DropGuard,
}

struct Inner {
    /// For publishing: the broker may stop reading from it when it is short of memory or disk.
    publishing: Link,
    /// For everything else.
    consuming: Link,
    /// For subscriptions: that one, and more where they are many.
    lines: Lines,
    publisher: Publisher,
    /// For what may cost its channel.
    side: Publisher,
    suspects: Mutex<HashMap<String, Instant>>,
    turns: Turns,
    topology: Arc<Topology>,
    roster: Arc<Roster>,
    ears: Ears,
    desk: Arc<Desk>,
    clock: Arc<dyn Clock>,
    settle: Duration,
}

impl AmqpBus {
    /// Starts the bus on `amqp://user:password@host:port/vhost` (or `amqps://`). It connects in the background: a broker
    /// that is not there is no error here, and [`Bus::health`] says so.
    ///
    /// Fails when the URL cannot be read. The error does not quote it.
    pub async fn start(url: &str, options: Options) -> Result<Arc<Self>, Error> {
        let heartbeat = u16::try_from(options.heartbeat.as_secs()).unwrap_or(u16::MAX).max(1);
        let address = Arc::new(Address::parse(url, heartbeat)?);
        let closing = CancellationToken::new();
        let topology = Arc::new(Topology::new(options.settle));
        let exchanges: Setup = Box::new(|up| Box::pin(async move { Topology::exchanges(&up).await }));
        let publishing = Link::start("publisher", Arc::clone(&address), &options, exchanges, closing.clone());
        let everything = set_up(Arc::clone(&topology), closing.clone());
        let consuming = Link::start("consumer", Arc::clone(&address), &options, everything, closing.clone());
        let lines = Lines::new(consuming.clone(), address, options.clone(), closing.clone());
        let publisher = Publisher::start(publishing.clone(), &options);
        let side = Publisher::start(publishing.clone(), &options);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let delivery_limit = options.delivery_limit;
        let desk = Arc::new(Desk { publisher: publisher.clone(), clock: Arc::clone(&clock), delivery_limit });
        let (suspects, roster, ears, settle) = (Mutex::default(), Arc::default(), Ears::default(), options.settle);
        let following = old::follow(consuming.clone(), Arc::clone(&topology), Arc::clone(&roster));
        let ends = closing.clone();
        drop(task::spawn("bus-old-queues", async move { ends.run_until_cancelled(following).await }));
        let inner = Inner {
            publishing,
            consuming,
            lines,
            publisher,
            side,
            suspects,
            turns: Turns::default(),
            topology,
            roster,
            ears,
            desk,
            clock,
            settle,
        };
        let _closes = closing.clone().drop_guard();
        Ok(Arc::new(Self { inner: Arc::new(inner), closing, _closes }))
    }

    /// Publishes bytes as they are, event or not, under a topic that a queue must take. Bytes that are no event reach the
    /// dead letters instead of a consumer. For tests, and for doors that must not lose what they cannot read.
    pub fn publish_raw(&self, topic: &str, body: Vec<u8>) -> BoxFuture<'static, Result<Receipt, Error>> {
        let (inner, topic) = (Arc::clone(&self.inner), topic.to_owned());
        to_the_end("bus-publish", async move {
            inner.ripen([topic.as_str()].into_iter()).await;
            let parcel = message::bytes(&topic, body, inner.clock.now())?;
            let outcome = inner.side.send(vec![parcel]).await.pop();
            inner.receipt(&topic, outcome)
        })
    }

    /// Serves a subscription in a task of its own.
    async fn subscribe(&self, queue: &str, prefetch: usize, outlet: Outlet) -> Result<(), Error> {
        let inner = &self.inner;
        let prefetch = u16::try_from(prefetch).unwrap_or(u16::MAX);
        let lacking = || unavailable("no connection has room for another subscription");
        let mut seat = inner.lines.seat().ok_or_else(lacking)?;
        // A line of its own is perhaps just being made, when the first is there.
        inner.consuming.up()?;
        let up = timeout(CONNECT, seat.link.wait()).await.ok().flatten().ok_or_else(lacking)?;
        let unknown = || Error::UnknownQueue { queue: queue.to_owned() };
        let (actual, old) = match inner.topology.place(queue) {
            Some(place) => place,
            None => {
                let mut found = find(&up, queue).await?.into_keys();
                (found.next().ok_or_else(unknown)?, found.collect())
            }
        };
        let tap = Tap::open(up, &actual, prefetch).await.map_err(|trouble| match trouble {
            Trouble::NotFound => unknown(),
            other => other.into(),
        })?;
        let ledger = |queue_: &str| {
            let ledger = Arc::new(Ledger::new(queue, queue_, &actual));
            inner.roster.add(&ledger);
            ledger
        };
        let old = old.iter().map(|old| ledger(old)).collect();
        let counter = Counter { ledger: ledger(&actual), outlet, desk: Arc::clone(&inner.desk) };
        let owner = Owner { counter, old, prefetch, topology: Arc::clone(&inner.topology), seat };
        let closing = self.closing.clone();
        drop(task::spawn("bus-consumer", async move { closing.run_until_cancelled(owner.run(tap)).await }));
        Ok(())
    }
}

/// What the consumer's connection begins with. The queues of agents follow in the background: one that does not answer
/// must not keep the others from theirs.
fn set_up(topology: Arc<Topology>, closing: CancellationToken) -> Setup {
    Box::new(move |up: Arc<Up>| {
        let (topology, closing) = (Arc::clone(&topology), closing.clone());
        Box::pin(async move {
            Topology::exchanges(&up).await?;
            topology.common_queues(&up).await?;
            drop(task::spawn("bus-restore", async move { closing.run_until_cancelled(topology.restore(&up)).await }));
            Ok(())
        })
    })
}

impl Inner {
    async fn publish(&self, batch: Vec<Publication>) -> Vec<Result<Receipt, Error>> {
        let turn = self.turns.take(batch.iter().map(|publication| publication.event.event_type.as_str()));
        turn.come().await;
        self.ripen(batch.iter().map(|publication| publication.event.event_type.as_str())).await;
        let now = self.clock.now();
        let mut answers: Vec<Option<Result<Receipt, Error>>> = vec![None; batch.len()];
        let (mut main, mut aside) = (Numbered::new(), Numbered::new());
        for (index, publication) in batch.iter().enumerate() {
            let ripe = self.topology.young.is_past(&publication.event.event_type);
            match ripe.and_then(|()| message::event(publication, now)) {
                Ok(parcel) if self.is_risky(&parcel) => aside.push((index, parcel)),
                Ok(parcel) => main.push((index, parcel)),
                Err(error) => answers[index] = Some(Err(error)),
            }
        }
        let (main_places, main): (Vec<usize>, Vec<Parcel>) = main.into_iter().unzip();
        let (aside_places, aside): (Vec<usize>, Vec<Parcel>) = aside.into_iter().unzip();
        let main = self.publisher.hand_in(main).await;
        if aside.is_empty() {
            // What comes next goes behind it by itself.
            drop(turn);
            self.note(&mut answers, &batch, main_places, main.answer().await);
        } else {
            let (main, aside) = tokio::join!(main.answer(), self.side.send(aside));
            self.note(&mut answers, &batch, main_places, main);
            self.note(&mut answers, &batch, aside_places, aside);
            drop(turn);
        }
        // Each has been answered one way or the other.
        answers.into_iter().map(|answer| answer.unwrap_or(Err(late()))).collect()
    }

    fn note(
        &self,
        answers: &mut [Option<Result<Receipt, Error>>],
        batch: &[Publication],
        places: Vec<usize>,
        outcomes: Vec<Outcome>,
    ) {
        for (place, outcome) in places.into_iter().zip(outcomes) {
            answers[place] = Some(self.receipt(&batch[place].event.event_type, Some(outcome)));
        }
    }

    /// Waits until no queue that these topics reach is too young, for a while. Costs nothing when there is none. Without a
    /// connection nothing is waited for: whoever publishes is told at once.
    async fn ripen<'a>(&self, topics: impl Iterator<Item = &'a str>) {
        if self.topology.young.any() && self.publishing.up().is_ok() {
            let deadline = Instant::now() + self.settle + YOUNG_PATIENCE;
            for topic in topics {
                self.topology.young.wait(topic, deadline).await;
            }
        }
    }

    /// Whether it may cost the channel that it is published on, and its neighbours their answers.
    fn is_risky(&self, parcel: &Parcel) -> bool {
        if parcel.body.len() > LARGE {
            return true;
        }
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        match suspects.get(parcel.key.as_str()) {
            Some(until) if *until > Instant::now() => true,
            Some(_) => suspects.remove(parcel.key.as_str()).is_none(),
            None => false,
        }
    }

    fn receipt(&self, topic: &str, outcome: Option<Outcome>) -> Result<Receipt, Error> {
        match outcome {
            Some(Outcome::Taken) => Ok(Receipt { queues: None }),
            Some(Outcome::Returned) => Err(Error::Unroutable { topic: topic.to_owned() }),
            Some(Outcome::Failed(error)) => Err(error),
            Some(Outcome::Late) | None => {
                let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                suspects.retain(|_, until| *until > now);
                suspects.insert(topic.to_owned(), now + SUSPICION);
                Err(late())
            }
        }
    }

    async fn well(&self) -> Result<(), Error> {
        let up = self.publishing.up()?;
        up.open_for(Duration::ZERO).await?;
        self.consuming.up().map(drop)
    }
}

fn late() -> Error {
    unavailable("the broker did not confirm in time")
}

impl Bus for AmqpBus {
    fn declare(&self, queue: QueueSpec) -> BoxFuture<'_, Result<(), Error>> {
        let inner = Arc::clone(&self.inner);
        to_the_end("bus-declare", async move {
            let up = inner.consuming.up().inspect_err(|_| inner.topology.want(&queue))?;
            let (name, before) = (queue.name.clone(), inner.topology.actual(&queue.name));
            let held = inner.roster.counts(&name).1 > 0;
            inner.topology.declare(&up, queue, held).await?;
            if before.is_some() && before != inner.topology.actual(&name) {
                // Who consumes it begins anew: with the old one, then the new one.
                inner.roster.dismiss(&name).await;
            }
            Ok(())
        })
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn unbind(&self, queue: &str, topics: Vec<TopicPattern>) -> BoxFuture<'_, Result<(), Error>> {
        let (inner, queue) = (Arc::clone(&self.inner), queue.to_owned());
        to_the_end("bus-unbind", async move {
            let up = inner.consuming.up()?;
            inner.topology.unbind(&up, &queue, &topics).await
        })
    }

    fn retire(&self, queue: &str) -> BoxFuture<'_, Result<(), Error>> {
        let (inner, queue) = (Arc::clone(&self.inner), queue.to_owned());
        if queue == DEAD_LETTER_QUEUE {
            // It always exists.
            return Box::pin(async { Ok(()) });
        }
        to_the_end("bus-retire", async move {
            inner.topology.young.done(&queue);
            let up = inner.consuming.up()?;
            let idle = inner.roster.dismiss(&queue).await;
            inner.topology.retire(&up, &queue, idle).await
        })
    }

    fn publish(&self, batch: Vec<Publication>) -> BoxFuture<'_, Vec<Result<Receipt, Error>>> {
        let inner = Arc::clone(&self.inner);
        to_the_end("bus-publish", async move { inner.publish(batch).await })
    }

    fn consume(&self, queue: &str, prefetch: usize) -> BoxFuture<'_, Result<Subscription<Delivery>, Error>> {
        let queue = queue.to_owned();
        Box::pin(async move {
            if queue == DEAD_LETTER_QUEUE {
                // What died has a death, which a delivery has no room for.
                return Err(Error::UnknownQueue { queue });
            }
            let prefetch = prefetch.clamp(1, LARGEST_PREFETCH);
            let (sender, receiver) = mpsc::channel(prefetch);
            self.subscribe(&queue, prefetch, Outlet::Events(sender)).await?;
            Ok(Subscription::new(receiver))
        })
    }

    fn consume_dead(&self, prefetch: usize) -> BoxFuture<'_, Result<Subscription<DeadDelivery>, Error>> {
        Box::pin(async move {
            let prefetch = prefetch.clamp(1, LARGEST_PREFETCH);
            let (sender, receiver) = mpsc::channel(prefetch);
            self.subscribe(DEAD_LETTER_QUEUE, prefetch, Outlet::Dead(sender)).await?;
            Ok(Subscription::new(receiver))
        })
    }

    fn broadcast(&self, topic: &str, body: Bytes) -> BoxFuture<'_, Result<(), Error>> {
        let topic = topic.to_owned();
        Box::pin(async move {
            let up = self.inner.publishing.up()?;
            self.inner.ears.say(&up, &topic, body).await
        })
    }

    fn listen(&self, pattern: TopicPattern) -> BoxFuture<'_, Result<Subscription<Broadcast>, Error>> {
        Box::pin(async move {
            let up = self.inner.consuming.up()?;
            self.inner.ears.listen(&up, pattern).await
        })
    }

    fn reconnects(&self) -> watch::Receiver<u64> {
        self.inner.publishing.reconnects()
    }

    fn queues(&self) -> BoxFuture<'_, Result<Vec<QueueInfo>, Error>> {
        Box::pin(async move {
            let up = self.inner.consuming.up()?;
            let names = self.inner.topology.names();
            counts::count(&up, &self.inner.roster, names).await
        })
    }

    fn waiting(&self, queue: &str) -> BoxFuture<'_, Result<Option<u64>, Error>> {
        let queue = queue.to_owned();
        Box::pin(async move {
            let up = self.inner.consuming.up()?;
            counts::waiting(&up, &queue).await
        })
    }

    fn health(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.inner.well())
    }
}

impl std::fmt::Debug for AmqpBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AmqpBus").finish_non_exhaustive()
    }
}
