//! A subscription: the task that owns its channel.
//!
//! What the queue's name meant before comes first: a queue that was left for another of the name is drained, then the present one
//! is served. The ledger knows the deliveries of the present channel that are not settled. A delivery that is given back is offered
//! to the same subscription again, in its place and uncounted, without troubling the broker; only when the subscriber has
//! gone does it go back to the queue. When the connection is lost the ledger is emptied, and the task consumes again on
//! the next one: what was out is stale, and comes again.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, StreamExt};
use greenroom_contract::{
    Event,
    event::Unreadable,
    execution::Failure,
    port::bus::{DeadDelivery, Delivery, Verdict},
    task,
};
use lapin::{
    Channel,
    options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions},
    types::{FieldTable, ShortString},
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

use super::{
    call::{Trouble, call},
    ledger::Ledger,
    lines::Seat,
    link::{Link, Up},
    message::{Letter, key},
    queue::{close, look},
    token::{Desk, Held, Token},
    topology::Topology,
};

/// The wait before a verdict of the bus's own is tried again, or a consumer that failed on a good connection.
const PAUSE: Duration = Duration::from_millis(500);
/// How long nothing comes from a queue that is drained, before it is asked whether that was all.
const QUIET: Duration = Duration::from_millis(200);

/// Where a subscription's deliveries go.
#[derive(Clone)]
pub(super) enum Outlet {
    Events(mpsc::Sender<Delivery>),
    Dead(mpsc::Sender<DeadDelivery>),
}

enum Room<'a> {
    Events(mpsc::Permit<'a, Delivery>),
    Dead(mpsc::Permit<'a, DeadDelivery>),
}

impl Outlet {
    async fn closed(&self) {
        match self {
            Self::Events(sender) => sender.closed().await,
            Self::Dead(sender) => sender.closed().await,
        }
    }

    async fn room(&self) -> Option<Room<'_>> {
        match self {
            Self::Events(sender) => sender.reserve().await.ok().map(Room::Events),
            Self::Dead(sender) => sender.reserve().await.ok().map(Room::Dead),
        }
    }
}

/// A channel that consumes.
pub(super) struct Tap {
    up: Arc<Up>,
    channel: Channel,
    tag: ShortString,
    messages: lapin::Consumer,
}

impl Tap {
    /// Starts to consume. Giving it up loses nothing: it is done by a task of its own, because a consumer that the broker knows and
    /// nobody reads would have its queue for itself.
    pub(super) async fn open(up: Arc<Up>, queue: &str, prefetch: u16) -> Result<Self, Trouble> {
        let queue = key(queue).map_err(|_| Trouble::NotFound)?;
        let (opened, wanted) = oneshot::channel();
        drop(task::spawn("bus-tapping", async move {
            let begun = Self::begin(up, queue, prefetch).await;
            drop(opened.send(begun.map(|tap| Unclaimed(Some(tap)))));
        }));
        let broken_off = || Trouble::Other("consuming a queue was broken off".to_owned());
        let mut tap = wanted.await.map_err(|_| broken_off())??;
        tap.0.take().ok_or_else(broken_off)
    }

    async fn begin(up: Arc<Up>, queue: ShortString, prefetch: u16) -> Result<Self, Trouble> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let tag = ShortString::from(format!("greenroom-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let channel = up.channel().await?;
        let consuming = async {
            call("setting the prefetch", channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
            let options = BasicConsumeOptions::default();
            let consuming = channel.basic_consume(queue, tag.clone(), options, FieldTable::default());
            call("consuming a queue", consuming).await
        };
        match consuming.await {
            Ok(messages) => Ok(Self { up, channel, tag, messages }),
            Err(trouble) => {
                // The broker may begin yet what it was too slow to confirm.
                if channel.status().connected() {
                    close(channel).await;
                }
                Err(trouble)
            }
        }
    }

    /// Ends the consumer and gives back what came for it, in one go.
    async fn close(self) {
        let Self { channel, messages, .. } = self;
        close(channel).await;
        drop(messages);
    }
}

/// A tap on its way to whoever wanted it. If they have gone meanwhile, it is closed.
struct Unclaimed(Option<Tap>);

impl Drop for Unclaimed {
    fn drop(&mut self) {
        // Without a runtime there is no connection any more.
        if let (Some(tap), Ok(_)) = (self.0.take(), Handle::try_current()) {
            drop(task::spawn("bus-untapping", tap.close()));
        }
    }
}

/// Where deliveries are counted out and handed over.
pub(super) struct Counter {
    pub(super) ledger: Arc<Ledger>,
    pub(super) outlet: Outlet,
    pub(super) desk: Arc<Desk>,
}

/// The task that owns a subscription.
pub(super) struct Owner {
    pub(super) counter: Counter,
    /// The queues that were left for the present one.
    pub(super) old: Vec<Arc<Ledger>>,
    pub(super) prefetch: u16,
    pub(super) topology: Arc<Topology>,
    pub(super) seat: Seat,
}

/// Why a tap gave no more.
enum Dry {
    /// The connection or the channel is lost.
    Lost,
    /// The subscriber has gone, or is to go.
    Unwanted,
    /// It was to be drained, and nothing is left.
    Drained,
}

impl Owner {
    /// Serves the subscription until it ends, over as many connections as that takes.
    pub(super) async fn run(mut self, first: Tap) {
        for ledger in std::mem::take(&mut self.old) {
            self.drain(ledger).await;
        }
        let mut tap = first;
        let Self { counter, prefetch, topology, mut seat, .. } = self;
        loop {
            match counter.serve(&mut tap, false).await {
                Dry::Unwanted | Dry::Drained => {
                    let Counter { ledger, outlet, .. } = counter;
                    return wind_down(&ledger, tap, Some(outlet), prefetch).await;
                }
                Dry::Lost => {
                    counter.ledger.begin();
                    drop(tap);
                }
            }
            tap = tokio::select! {
                again = again(&mut seat.link, &topology, counter.ledger.name(), prefetch) => match again {
                    Some(again) => again,
                    None => break,
                },
                () = counter.outlet.closed() => break,
                () = counter.ledger.quit.cancelled() => break,
            };
        }
        counter.ledger.ended.cancel();
    }

    /// Hands over what is left in a queue that nothing leads to any more.
    async fn drain(&mut self, ledger: Arc<Ledger>) {
        let counter = Counter { ledger, outlet: self.counter.outlet.clone(), desk: Arc::clone(&self.counter.desk) };
        loop {
            let up = tokio::select! {
                up = self.seat.link.wait() => up,
                () = counter.outlet.closed() => None,
                () = counter.ledger.quit.cancelled() => None,
            };
            let Some(up) = up else { break };
            match Tap::open(up, counter.ledger.queue(), self.prefetch).await {
                Ok(mut tap) => match counter.serve(&mut tap, true).await {
                    Dry::Lost => drop(counter.ledger.begin()),
                    // The subscriber knows nothing of this queue: for it, more comes.
                    Dry::Unwanted | Dry::Drained => return wind_down(&counter.ledger, tap, None, self.prefetch).await,
                },
                // It has been deleted.
                Err(Trouble::NotFound) => break,
                Err(trouble) => {
                    let queue = counter.ledger.queue();
                    tracing::debug!(queue, error = %trouble, "A queue cannot be drained; tried again.");
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        counter.ledger.ended.cancel();
    }
}

impl Counter {
    async fn serve(&self, tap: &mut Tap, to_the_last: bool) -> Dry {
        let epoch = self.ledger.begin();
        let mut number = 0;
        let mut waiting: BTreeMap<u64, Arc<Held>> = BTreeMap::new();
        loop {
            tokio::select! {
                biased;
                () = self.ledger.quit.cancelled() => break,
                () = self.outlet.closed() => break,
                () = self.ledger.bell.notified() => {
                    waiting.extend(self.ledger.take_returned().into_iter().map(|held| (held.number, held)));
                }
                room = self.outlet.room(), if !waiting.is_empty() => {
                    if let (Some(room), Some((_, held))) = (room, waiting.pop_first()) {
                        self.hand_out(room, held);
                    }
                }
                message = tap.messages.next() => match message {
                    Some(Ok(message)) => {
                        number += 1;
                        let held = take_in(message, epoch, number);
                        self.ledger.came(&held);
                        waiting.insert(number, held);
                    }
                    Some(Err(_)) => {}
                    None => return Dry::Lost,
                },
                () = tokio::time::sleep(QUIET), if to_the_last => {
                    if self.ledger.open() == 0 && is_empty(&tap.up, self.ledger.queue()).await {
                        return Dry::Drained;
                    }
                }
            }
        }
        self.ledger.not_wanted(waiting.into_keys());
        Dry::Unwanted
    }

    fn hand_out(&self, room: Room<'_>, held: Arc<Held>) {
        let token = Token::new(Arc::clone(&held), Arc::clone(&self.ledger), Arc::clone(&self.desk));
        match room {
            Room::Dead(room) => {
                room.send(DeadDelivery::new(held.letter.body.clone(), held.letter.died(), Box::new(token)));
            }
            Room::Events(room) => match Event::from_bytes(&held.letter.body) {
                Ok(event) => {
                    let queue = self.ledger.name().to_owned();
                    room.send(Delivery::new(event, queue, held.letter.rejections, Box::new(token)));
                }
                Err(error) => {
                    let code = if matches!(error, Unreadable::TooNew { .. }) { "too_new" } else { "unreadable" };
                    let reason = Failure::new(code, error.to_string());
                    // At most as many as the prefetch: each has a delivery in hand.
                    let mut token = token;
                    drop(task::spawn("bus-unreadable", async move {
                        if token.decide(Verdict::Dead(reason)).await.is_err() {
                            // Given back, it is unreadable again.
                            tokio::time::sleep(PAUSE).await;
                        }
                    }));
                }
            },
        }
    }
}

fn take_in(message: lapin::message::Delivery, epoch: u64, number: u64) -> Arc<Held> {
    let (letter, acker) = Letter::new(message);
    Arc::new(Held { epoch, number, letter, acker })
}

/// Whether a queue has nothing more to hand out. One that cannot be asked may have.
async fn is_empty(up: &Up, queue: &str) -> bool {
    look(up, queue).await.is_ok_and(|there| there.is_none_or(|queue| queue.message_count() == 0))
}

/// Consumes again as soon as that is possible; `None` when the queue is gone for good, or the bus closed.
async fn again(link: &mut Link, topology: &Topology, name: &str, prefetch: u16) -> Option<Tap> {
    loop {
        let up = link.wait().await?;
        let queue = topology.actual(name).unwrap_or_else(|| name.to_owned());
        match Tap::open(Arc::clone(&up), &queue, prefetch).await {
            Ok(tap) => return Some(tap),
            Err(Trouble::NotFound) => {
                // Deleted by somebody, or lost by the broker: what was declared is declared again.
                let known = topology.spec(name);
                if known.is_none() && name != greenroom_contract::port::bus::DEAD_LETTER_QUEUE {
                    return None;
                }
                if let Some(spec) = known
                    && let Err(error) = topology.declare(&up, spec, false).await
                {
                    tracing::warn!(queue, %error, "A queue is gone and cannot be declared again; tried again.");
                }
            }
            Err(trouble) => tracing::debug!(queue, error = %trouble, "A queue cannot be consumed; tried again."),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Ends the consumer of which nothing is wanted any more.
async fn wind_down(ledger: &Ledger, tap: Tap, outlet: Option<Outlet>, prefetch: u16) {
    match prefetch {
        1 => end_in_order(ledger, tap, outlet).await,
        _ => end_at_once(ledger, tap, outlet).await,
    }
}

/// Ends a consumer that has one delivery at a time, as who works in order does. The broker lets the next consumer begin as soon
/// as it hears of the end of this one: what this one has must be back in its place by then, or be settled. So the consumer is
/// not cancelled. Whoever holds the delivery settles it first, while nothing else comes; then the channel is closed, which gives
/// back and ends in one go.
async fn end_in_order(ledger: &Ledger, tap: Tap, outlet: Option<Outlet>) {
    let Tap { channel, up, .. } = &tap;
    drop(outlet);
    let mut told = false;
    while up.is_connected() && channel.status().connected() {
        for held in ledger.take_returned() {
            ledger.requeued(&held);
        }
        if ledger.open() == 0 {
            break;
        }
        if !std::mem::replace(&mut told, true) {
            ledger.ended.cancel();
        }
        // The net below the bell notices a lost connection.
        drop(tokio::time::timeout(Duration::from_secs(1), ledger.bell.notified()).await);
    }
    tap.close().await;
    ledger.begin();
    ledger.ended.cancel();
}

/// Ends the consumer, gives back what nobody has, and stays until whoever holds something has settled it. The subscriber hears
/// of the end, by the loss of the outlet, as soon as nothing more comes.
async fn end_at_once(ledger: &Ledger, tap: Tap, outlet: Option<Outlet>) {
    let Tap { channel, tag, mut messages, up } = tap;
    let cancelled = call("ending a consumer", channel.basic_cancel(tag, BasicCancelOptions::default())).await.is_ok();
    drop(outlet);
    let mut number = u64::MAX;
    while let Some(Some(message)) = messages.next().now_or_never() {
        if let Ok(message) = message {
            number -= 1;
            ledger.came_too_late(take_in(message, ledger.epoch(), number));
        }
    }
    let mut told = false;
    while cancelled && up.is_connected() && channel.status().connected() {
        for held in ledger.take_returned() {
            held.requeue().await;
            ledger.requeued(&held);
        }
        if !std::mem::replace(&mut told, true) {
            ledger.ended.cancel();
        }
        if ledger.open() == 0 {
            break;
        }
        // The net below the bell notices a lost connection.
        drop(tokio::time::timeout(Duration::from_secs(1), ledger.bell.notified()).await);
    }
    ledger.begin();
    ledger.ended.cancel();
    close(channel).await;
}
