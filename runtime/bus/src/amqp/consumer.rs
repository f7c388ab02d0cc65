//! A subscription: the task that owns its channel, and the ledger of what is out.
//!
//! The ledger knows the deliveries of the present channel that are not settled. A delivery that is given back is offered
//! to the same subscription again, in its place and uncounted, without troubling the broker; only when the subscriber has
//! gone does it go back to the queue. When the connection is lost the ledger is emptied, and the task consumes again on
//! the next one: what was out is stale, and comes again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
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
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    call::{Trouble, call},
    lines::Seat,
    link::{Link, Up},
    message::{Letter, key},
    token::{Desk, Held, Token},
    topology::{Topology, close},
};

/// The wait before a verdict of the bus's own is tried again, or a consumer that failed on a good connection.
const PAUSE: Duration = Duration::from_millis(500);

/// What is out of one subscription.
#[derive(Debug)]
pub(super) struct Ledger {
    queue: String,
    out: Mutex<Out>,
    bell: Notify,
    /// Ends the subscription.
    pub(super) quit: CancellationToken,
    /// The broker sends nothing more.
    pub(super) ended: CancellationToken,
}

#[derive(Debug, Default)]
struct Out {
    epoch: u64,
    open: HashMap<u64, Arc<Held>>,
    returned: Vec<u64>,
    /// How many went back to the broker's queue.
    requeued: u64,
}

impl Ledger {
    pub(super) fn new(queue: &str) -> Self {
        let (quit, ended) = (CancellationToken::new(), CancellationToken::new());
        Self { queue: queue.to_owned(), out: Mutex::default(), bell: Notify::new(), quit, ended }
    }

    pub(super) fn queue(&self) -> &str {
        &self.queue
    }

    /// How many are not settled.
    pub(super) fn open(&self) -> u64 {
        self.lock().open.len() as u64
    }

    /// Whether nothing is out and nothing is on its way back to the queue.
    pub(super) fn is_idle(&self) -> bool {
        let out = self.lock();
        out.open.is_empty() && out.requeued == 0
    }

    pub(super) fn has(&self, held: &Held) -> bool {
        let out = self.lock();
        out.epoch == held.epoch && out.open.contains_key(&held.number)
    }

    pub(super) fn settled(&self, held: &Held) {
        let mut out = self.lock();
        if out.epoch == held.epoch {
            out.open.remove(&held.number);
            drop(out);
            self.bell.notify_one();
        }
    }

    /// For whoever drops a delivery: never waits, and there are no more of these than deliveries that are out.
    pub(super) fn give_back(&self, held: &Held) {
        let mut out = self.lock();
        if out.epoch == held.epoch {
            out.returned.push(held.number);
            drop(out);
            self.bell.notify_one();
        }
    }

    fn begin(&self) -> u64 {
        let mut out = self.lock();
        *out = Out { epoch: out.epoch + 1, requeued: out.requeued, ..Out::default() };
        out.epoch
    }

    fn take_returned(&self) -> Vec<Arc<Held>> {
        let mut out = self.lock();
        let returned = std::mem::take(&mut out.returned);
        returned.iter().filter_map(|number| out.open.get(number).cloned()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a subscription's deliveries go.
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
    /// Starts to consume.
    pub(super) async fn open(up: Arc<Up>, queue: &str, prefetch: u16) -> Result<Self, Trouble> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = key(queue).map_err(|_| Trouble::NotFound)?;
        let tag = ShortString::from(format!("greenroom-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let channel = up.channel().await?;
        call("setting the prefetch", channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
        let options = BasicConsumeOptions::default();
        let consuming = channel.basic_consume(name, tag.clone(), options, FieldTable::default());
        let messages = call("consuming a queue", consuming).await?;
        Ok(Self { up, channel, tag, messages })
    }
}

/// The task that owns a subscription.
pub(super) struct Owner {
    pub(super) ledger: Arc<Ledger>,
    pub(super) outlet: Outlet,
    pub(super) prefetch: u16,
    pub(super) desk: Arc<Desk>,
    pub(super) topology: Arc<Topology>,
    pub(super) seat: Seat,
}

/// Why a tap gave no more.
enum Dry {
    /// The connection or the channel is lost.
    Lost,
    /// The subscriber has gone, or is to go.
    Unwanted,
}

impl Owner {
    /// Serves the subscription until it ends, over as many connections as that takes.
    pub(super) async fn run(mut self, first: Tap) {
        let mut tap = first;
        loop {
            match self.serve(&mut tap).await {
                Dry::Unwanted => return self.wind_down(tap).await,
                Dry::Lost => {
                    self.ledger.begin();
                    drop(tap);
                }
            }
            tap = tokio::select! {
                again = Self::again(&mut self.seat.link, &self.topology, self.ledger.queue(), self.prefetch) => match again {
                    Some(again) => again,
                    None => break,
                },
                () = self.outlet.closed() => break,
                () = self.ledger.quit.cancelled() => break,
            };
        }
        self.ledger.ended.cancel();
    }

    async fn serve(&self, tap: &mut Tap) -> Dry {
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
                        let held = self.take_in(message, epoch, number);
                        waiting.insert(number, held);
                    }
                    Some(Err(_)) => {}
                    None => return Dry::Lost,
                },
            }
        }
        self.ledger.lock().returned.extend(waiting.into_keys());
        Dry::Unwanted
    }

    fn take_in(&self, message: lapin::message::Delivery, epoch: u64, number: u64) -> Arc<Held> {
        let (letter, acker) = Letter::new(message);
        let held = Arc::new(Held { epoch, number, letter, acker });
        self.ledger.lock().open.insert(number, Arc::clone(&held));
        held
    }

    fn hand_out(&self, room: Room<'_>, held: Arc<Held>) {
        let token = Token::new(Arc::clone(&held), Arc::clone(&self.ledger), Arc::clone(&self.desk));
        match room {
            Room::Dead(room) => {
                room.send(DeadDelivery::new(held.letter.body.clone(), held.letter.died(), Box::new(token)));
            }
            Room::Events(room) => match Event::from_bytes(&held.letter.body) {
                Ok(event) => {
                    let queue = self.ledger.queue().to_owned();
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

    /// Consumes again as soon as that is possible; `None` when the queue is gone for good, or the bus closed.
    async fn again(link: &mut Link, topology: &Topology, queue: &str, prefetch: u16) -> Option<Tap> {
        loop {
            let up = link.wait().await?;
            match Tap::open(Arc::clone(&up), queue, prefetch).await {
                Ok(tap) => return Some(tap),
                Err(Trouble::NotFound) => {
                    // Deleted by somebody, or lost by the broker: what was declared is declared again.
                    let known = topology.spec(queue);
                    if known.is_none() && queue != greenroom_contract::port::bus::DEAD_LETTER_QUEUE {
                        return None;
                    }
                    if let Some(spec) = known
                        && let Err(error) = topology.declare(&up, spec).await
                    {
                        tracing::warn!(queue, %error, "A queue is gone and cannot be declared again; tried again.");
                    }
                }
                Err(trouble) => tracing::debug!(queue, error = %trouble, "A queue cannot be consumed; tried again."),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Ends the consumer, gives back what nobody has, and stays until whoever holds something has settled it.
    async fn wind_down(self, tap: Tap) {
        let Self { ledger, outlet, .. } = self;
        let Tap { channel, tag, mut messages, up } = tap;
        let cancelled =
            call("ending a consumer", channel.basic_cancel(tag, BasicCancelOptions::default())).await.is_ok();
        drop(outlet);
        let mut number = u64::MAX;
        while let Some(Some(message)) = messages.next().now_or_never() {
            if let Ok(message) = message {
                let (letter, acker) = Letter::new(message);
                let epoch = ledger.lock().epoch;
                number -= 1;
                let held = Arc::new(Held { epoch, number, letter, acker });
                let mut out = ledger.lock();
                out.open.insert(number, held);
                out.returned.push(number);
            }
        }
        let mut told = false;
        while cancelled && up.is_connected() && channel.status().connected() {
            for held in ledger.take_returned() {
                held.requeue().await;
                let mut out = ledger.lock();
                out.open.remove(&held.number);
                out.requeued += 1;
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
}
