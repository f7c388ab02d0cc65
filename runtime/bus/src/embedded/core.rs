//! What publishers, dispatchers and delivery tokens share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use greenroom_contract::{
    Clock, Priority, TraceId, clock,
    execution::Failure,
    port::bus::{DEAD_LETTER_QUEUE, Death, Error},
};
use greenroom_sqlite::{Database, Failed};
use rusqlite::Connection;

use super::{
    hold::Hold,
    queue::Queue,
    rows,
    shelf::{Row, Want},
};

/// How many rejections bring a message to the dead letters, unless told otherwise.
pub const DELIVERY_LIMIT: u32 = 5;

/// The priority of every dead letter: they keep the order of their deaths.
const DEAD_PRIORITY: Priority = Priority::Normal;

/// How the bus behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many rejections bring a message to the dead letters.
    pub delivery_limit: u32,
    /// How often queues are checked for messages that nobody told of: a net below the bell, not the way things go.
    pub recheck_every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { delivery_limit: DELIVERY_LIMIT, recheck_every: Duration::from_secs(1) }
    }
}

/// An error on its way out of a database job.
pub(super) struct Fault(Error);

impl From<greenroom_sqlite::Error> for Fault {
    fn from(error: greenroom_sqlite::Error) -> Self {
        // Whether the machine or the program is at fault, nothing was committed; the text names the file and the remedy.
        Self(Error::Unavailable { reason: error.to_string() })
    }
}

pub(super) struct Core {
    db: Database,
    clock: Arc<dyn Clock>,
    last_id: Arc<AtomicI64>,
    dead_letters: Arc<Queue>,
    delivery_limit: u32,
    /// Whether the last read failed, so that a change is logged once and not each try.
    unreadable: AtomicBool,
}

impl Core {
    pub(super) fn new(
        db: Database,
        clock: Arc<dyn Clock>,
        last_id: i64,
        dead_letters: Arc<Queue>,
        delivery_limit: u32,
    ) -> Self {
        let last_id = Arc::new(AtomicI64::new(last_id));
        Self { db, clock, last_id, dead_letters, delivery_limit, unreadable: AtomicBool::new(false) }
    }

    /// In milliseconds since the epoch.
    pub(super) fn now(&self) -> i64 {
        clock::to_millis(self.clock.now())
    }

    /// Gives out message ids. To be asked on the writer thread, where their order is that of the commits.
    pub(super) fn ids(&self) -> Ids {
        Ids(Arc::clone(&self.last_id))
    }

    /// Runs a job on the writer. The job must not own anything that leads to the database.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        write(&self.db, job).await
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.db.read(|conn| job(conn).map_err(Failed::<Fault>::Sqlite)).await.map_err(|Fault(error)| error)
    }

    /// Reads what a queue's shelf wants, and logs when reading begins or ceases to fail.
    pub(super) async fn fetch(&self, queue: &Queue, want: &Want) -> Result<(Vec<Row>, bool), Error> {
        let (key, wanted) = (queue.arrivals().queue(), want.clone());
        let dead_letters = queue.name() == DEAD_LETTER_QUEUE;
        let read = self.read(move |conn| rows::read(conn, key, dead_letters, &wanted)).await;
        match &read {
            Ok(_) if self.unreadable.swap(false, Ordering::Relaxed) => {
                tracing::info!("The bus reads its messages again.");
            }
            Err(error) if !self.unreadable.swap(true, Ordering::Relaxed) => {
                tracing::error!(%error, queue = queue.name(), "The bus cannot read its messages and tries again.");
            }
            _ => {}
        }
        read
    }

    pub(super) async fn accept(&self, hold: Hold) -> Result<(), Error> {
        let id = hold.id();
        let was_there = self.write(move |conn| rows::delete(conn, id)).await?;
        hold.settled();
        if was_there { Ok(()) } else { Err(Error::Stale) }
    }

    pub(super) async fn reject(&self, hold: Hold, reason: Failure, trace: Option<TraceId>) -> Result<(), Error> {
        if hold.facts().rejections + 1 >= self.delivery_limit {
            return self.bury(hold, reason, trace).await;
        }
        let id = hold.id();
        if self.write(move |conn| rows::reject(conn, id)).await? {
            hold.rejected();
            Ok(())
        } else {
            hold.settled();
            Err(Error::Stale)
        }
    }

    /// Moves a message to the dead letters.
    pub(super) async fn bury(&self, hold: Hold, reason: Failure, trace: Option<TraceId>) -> Result<(), Error> {
        let facts = hold.facts();
        let death = Death {
            queue: hold.queue().name().to_owned(),
            reason,
            attempts: facts.rejections + 1,
            first_at: clock::from_millis(facts.published_at),
            dead_at: self.clock.now(),
        };
        // Every field serialises.
        let json = serde_json::to_string(&death).unwrap_or_default();
        let (id, ids, grave) = (hold.id(), self.ids(), Arc::clone(self.dead_letters.arrivals()));
        let priority = DEAD_PRIORITY.as_u8();
        let buried = self
            .write(move |conn| {
                let new_id = ids.next();
                let moved = rows::bury(conn, id, grave.queue(), new_id, priority, &json)?;
                Ok(moved.then(|| grave.land(priority, new_id)))
            })
            .await;
        let Some(landed) = buried.inspect_err(|_| self.dead_letters.recheck())? else {
            hold.settled();
            return Err(Error::Stale);
        };
        hold.settled();
        self.dead_letters.arrived(priority, landed, None);
        self.dead_letters.ring();
        let trace_id = trace.map(tracing::field::display);
        let Death { queue, reason, attempts, .. } = death;
        tracing::warn!(trace_id, queue, attempts, error = %reason, "A message went to the dead letters.");
        Ok(())
    }
}

/// Runs a job on the writer, with the bus's errors.
pub(super) async fn write<T: Send + 'static>(
    db: &Database,
    job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, Error> {
    db.write(|conn| job(conn).map_err(Failed::<Fault>::Sqlite)).await.map_err(|Fault(error)| error)
}

/// The source of message ids.
pub(super) struct Ids(Arc<AtomicI64>);

impl Ids {
    pub(super) fn next(&self) -> i64 {
        self.0.fetch_add(1, Ordering::AcqRel) + 1
    }
}
