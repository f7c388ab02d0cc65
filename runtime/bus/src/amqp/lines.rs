//! Connections for subscriptions: as many as they need, because a broker allows only so many channels on each.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{
    address::Address,
    link::{Link, Setup},
    options::Options,
    topology::Topology,
};

/// The connections that consume. The first is the bus's own; the others come when it is full, and stay.
pub(super) struct Lines {
    address: Arc<Address>,
    options: Options,
    closing: CancellationToken,
    lines: Mutex<Vec<Line>>,
}

struct Line {
    link: Link,
    seats: Arc<Semaphore>,
}

/// A subscription's place on a connection. It is free again when this is dropped.
pub(super) struct Seat {
    pub(super) link: Link,
    _place: OwnedSemaphorePermit,
}

impl Lines {
    pub(super) fn new(first: Link, address: Arc<Address>, options: Options, closing: CancellationToken) -> Self {
        let lines = Mutex::new(vec![Line::new(first, &options)]);
        Self { address, options, closing, lines }
    }

    /// A place on the first connection that has one.
    pub(super) fn seat(&self) -> Option<Seat> {
        let mut lines = self.lock();
        let free = lines.iter().find_map(Line::seat);
        if free.is_some() {
            return free;
        }
        let exchanges: Setup = Box::new(|up| Box::pin(async move { Topology::exchanges(&up).await }));
        let link = Link::start("consumer", Arc::clone(&self.address), &self.options, exchanges, self.closing.clone());
        let line = Line::new(link, &self.options);
        let seat = line.seat();
        lines.push(line);
        seat
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn new(link: Link, options: &Options) -> Self {
        Self { link, seats: Arc::new(Semaphore::new(options.subscriptions_per_connection.max(1))) }
    }

    fn seat(&self) -> Option<Seat> {
        let place = Arc::clone(&self.seats).try_acquire_owned().ok()?;
        Some(Seat { link: self.link.clone(), _place: place })
    }
}
