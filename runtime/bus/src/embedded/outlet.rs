//! A consumer as its queue sees it: where deliveries go in, and how many more it may hold.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use greenroom_contract::port::bus::{DeadDelivery, Delivery, LaneSender};
use tokio::sync::mpsc;

use super::{hold::Hold, shelf::Letter, token::Token};

/// The sending end of a subscription. Its channel has room for the whole prefetch, so that sending never waits.
///
/// Never dropped under a queue's lock: the last one takes with it what its channel still holds, which goes back to the queue.
#[derive(Debug, Clone)]
pub(super) enum Outlet {
    Events(LaneSender<Box<Delivery>>),
    DeadLetters(mpsc::Sender<DeadDelivery>),
}

/// What could not be sent; to be dropped where no lock is held, which gives it back.
pub(super) type Unsent = Box<dyn Send>;

impl Outlet {
    /// Resolves when the subscription was dropped.
    pub(super) async fn closed(&self) {
        match self {
            Self::Events(sender) => sender.closed().await,
            Self::DeadLetters(sender) => sender.closed().await,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Events(sender) => sender.is_closed(),
            Self::DeadLetters(sender) => sender.is_closed(),
        }
    }

    /// Hands a letter over. Fails when the subscription was dropped.
    pub(super) fn send(&self, letter: Letter, hold: Hold) -> Result<(), Unsent> {
        match (letter, self) {
            (Letter::Event(event), Self::Events(sender)) => {
                let queue = hold.queue().name().to_owned();
                tracing::debug!(event_id = %event.event_id, trace_id = %event.trace_id, queue, "An event is delivered.");
                let rejections = hold.facts().rejections;
                let token = Token { hold, trace: Some(event.trace_id) };
                let delivery = Box::new(Delivery::new(*event, queue, rejections, Box::new(token)));
                sender.try_send(delivery).map_err(|unsent| unsent as Unsent)
            }
            (Letter::Dead { body, death }, Self::DeadLetters(sender)) => {
                let token = Token { hold, trace: None };
                let sent = sender.try_send(DeadDelivery::new(body, *death, Box::new(token)));
                sent.map_err(|unsent| Box::new(unsent.into_inner()) as Unsent)
            }
            (letter, _) => {
                debug_assert!(false, "{} holds what its consumers do not take: {letter:?}", hold.queue().name());
                Err(Box::new(hold))
            }
        }
    }
}

/// How many more deliveries a consumer may hold: its prefetch less what it was given and has not settled.
#[derive(Debug)]
pub(super) struct Credit(AtomicUsize);

impl Credit {
    pub(super) fn new(prefetch: usize) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(prefetch)))
    }

    pub(super) fn is_left(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }

    /// Uses one, having looked under the queue's lock that there is one.
    pub(super) fn draw(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn give_back(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) outlet: Outlet,
    pub(super) credit: Arc<Credit>,
}

impl Consumer {
    pub(super) fn has_room(&self) -> bool {
        self.credit.is_left() && !self.outlet.is_closed()
    }
}
