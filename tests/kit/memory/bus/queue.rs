//! One queue: what waits, what is out, and who takes it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use greenroom_contract::{
    Event, EventId,
    port::bus::{DeadDelivery, Death, Delivery, LaneSender, QueueInfo, Sharing},
};
use jiff::Timestamp;
use tokio::sync::mpsc;

/// The place of a message: higher priority first, then older.
pub(super) type Place = (Reverse<u8>, u64);

/// A message. A flood of alike messages shares one event and differs in its ids.
#[derive(Clone)]
pub(super) enum Message {
    Event { event: Arc<Event>, id: EventId, rejections: u32, first_at: Timestamp },
    Dead { body: Vec<u8>, death: Death },
}

/// Where a consumer's deliveries go.
pub(super) enum Outlet {
    Events(LaneSender<Box<Delivery>>),
    Dead(mpsc::Sender<DeadDelivery>),
}

impl Outlet {
    fn is_closed(&self) -> bool {
        match self {
            Self::Events(sender) => sender.is_closed(),
            Self::Dead(sender) => sender.is_closed(),
        }
    }
}

pub(super) struct Consumer {
    pub(super) id: u64,
    pub(super) outlet: Outlet,
    pub(super) prefetch: usize,
    pub(super) out: usize,
}

pub(super) struct Queue {
    pub(super) sharing: Sharing,
    /// A retired queue keeps what waits in it, and takes and gives nothing.
    pub(super) retired: bool,
    pub(super) ready: BTreeMap<Place, Message>,
    pub(super) out: BTreeMap<Place, Message>,
    pub(super) consumers: Vec<Consumer>,
    /// The events that are in the queue: no second copy of one waits here.
    pub(super) present: HashSet<EventId>,
    turn: usize,
}

impl Queue {
    pub(super) fn new(sharing: Sharing) -> Self {
        Self {
            sharing,
            retired: false,
            ready: BTreeMap::new(),
            out: BTreeMap::new(),
            consumers: Vec::new(),
            present: HashSet::new(),
            turn: 0,
        }
    }

    /// The next message and the consumer that gets it, if there are both.
    pub(super) fn next(&mut self) -> Option<(Place, Message, usize)> {
        self.consumers.retain(|consumer| !consumer.outlet.is_closed());
        if self.ready.is_empty() || self.consumers.is_empty() {
            return None;
        }
        let candidates = if self.sharing == Sharing::SingleActive { 1 } else { self.consumers.len() };
        let free = |index: &usize| self.consumers[*index].out < self.consumers[*index].prefetch;
        let chosen = (0..candidates).map(|offset| (self.turn + offset) % candidates).find(free)?;
        self.turn = (chosen + 1) % candidates;
        let (place, message) = self.ready.pop_first()?;
        self.out.insert(place, message.clone());
        self.consumers[chosen].out += 1;
        Some((place, message, chosen))
    }

    /// A message that was out is settled, or goes back to its place.
    pub(super) fn came_back(&mut self, place: Place, consumer: u64, keep: bool) -> Option<Message> {
        if let Some(consumer) = self.consumers.iter_mut().find(|other| other.id == consumer) {
            consumer.out = consumer.out.saturating_sub(1);
        }
        let message = self.out.remove(&place)?;
        if keep {
            self.ready.insert(place, message);
            return None;
        }
        if let Message::Event { id, .. } = &message {
            self.present.remove(id);
        }
        Some(message)
    }

    pub(super) fn info(&mut self, name: &str) -> QueueInfo {
        self.consumers.retain(|consumer| !consumer.outlet.is_closed());
        QueueInfo {
            name: name.to_owned(),
            ready: self.ready.len() as u64,
            unacknowledged: self.out.len() as u64,
            consumers: self.consumers.len() as u32,
        }
    }

    /// What a crash leaves of it: everything waits, nobody takes it.
    pub(super) fn after_crash(&self) -> Self {
        let mut ready = self.ready.clone();
        ready.extend(self.out.clone());
        let (sharing, retired, present) = (self.sharing, self.retired, self.present.clone());
        Self { sharing, retired, ready, out: BTreeMap::new(), consumers: Vec::new(), present, turn: 0 }
    }
}
