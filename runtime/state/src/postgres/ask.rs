//! What waits for a lane: requests of the hot kinds, which are written many at a time, and calls of any other kind.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use greenroom_contract::{BoxFuture, port::state::Result};
use sqlx::{Connection, PgConnection};
use tokio::sync::oneshot;

use super::{
    fault::{Fault, Job},
    finish::Finishing,
    inbox::Accepting,
    journal::Journaling,
    options::Now,
    relay::Settlement,
    server::Place,
    submit::Submitting,
};

/// Names a row by a hash, so that two requests about it are kept in order.
pub(super) fn key(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// A kind of request of which one statement takes many.
pub(super) trait Batched: Send + Sync + Sized + 'static {
    type Done: Send + 'static;

    /// The rows that it is about. Two requests that share one are never in the same statement.
    fn keys(&self) -> Vec<u64>;

    /// The claim that it makes, if it makes one.
    fn claim(&self) -> Option<i64> {
        None
    }

    /// Runs them all in one statement, and answers each in its place. A request that is refused changes nothing and
    /// leaves its neighbours alone.
    fn run<'a>(batch: &'a [Self], conn: &'a mut PgConnection, now: Now) -> BoxFuture<'a, Job<Vec<Result<Self::Done>>>>;
}

/// A request and whoever awaits its answer.
pub(super) struct Ask<B: Batched> {
    pub(super) request: B,
    pub(super) reply: oneshot::Sender<Result<B::Done>>,
}

/// A call on a connection. It may be made again if it collides with another transaction.
pub(super) type Call<T> = Arc<dyn for<'c> Fn(&'c mut PgConnection, Now) -> BoxFuture<'c, Job<T>> + Send + Sync>;

/// Tells the compiler that a closure is a [`Call`].
pub(super) fn calling<T, F>(call: F) -> F
where
    F: for<'c> Fn(&'c mut PgConnection, Now) -> BoxFuture<'c, Job<T>> + Send + Sync + 'static,
{
    call
}

/// A call and whoever awaits its answer.
pub(super) struct Single<T> {
    pub(super) call: Call<T>,
    /// Whether it is several statements, to be committed together.
    pub(super) transaction: bool,
    pub(super) claim: Option<i64>,
    pub(super) reply: Option<oneshot::Sender<Result<T>>>,
    pub(super) done: Option<T>,
}

/// A [`Single`] of any answer.
pub(super) trait AnySingle: Send {
    fn run<'a>(&'a mut self, conn: &'a mut PgConnection, now: Now) -> BoxFuture<'a, Job<()>>;
    fn claim(&self) -> Option<i64>;
    /// Hands on the answer, or the fault. Says whether anybody still awaited it.
    fn answer(&mut self, fault: Option<Fault>, place: &Place) -> bool;
}

impl<T: Send + 'static> AnySingle for Single<T> {
    fn run<'a>(&'a mut self, conn: &'a mut PgConnection, now: Now) -> BoxFuture<'a, Job<()>> {
        Box::pin(async move {
            self.done = Some(if self.transaction {
                let mut tx = conn.begin().await?;
                match (self.call)(&mut tx, now).await {
                    Ok(done) => {
                        tx.commit().await?;
                        done
                    }
                    Err(fault) => {
                        // A connection that was lost has nothing to roll back, and is thrown away.
                        if !matches!(fault, Fault::Lost(_)) {
                            tx.rollback().await?;
                        }
                        return Err(fault);
                    }
                }
            } else {
                (self.call)(conn, now).await?
            });
            Ok(())
        })
    }

    fn claim(&self) -> Option<i64> {
        self.claim
    }

    fn answer(&mut self, fault: Option<Fault>, place: &Place) -> bool {
        let answer = match (fault, self.done.take()) {
            (Some(fault), _) => Err(fault.into_error(place)),
            (None, Some(done)) => Ok(done),
            (None, None) => Err(Fault::Wrong("a call ended without its answer".to_owned()).into_error(place)),
        };
        self.reply.take().is_some_and(|reply| reply.send(answer).is_ok())
    }
}

/// Anything that waits for a lane.
pub(super) enum Waiting {
    Submit(Ask<Submitting>),
    Accept(Ask<Accepting>),
    Journal(Ask<Journaling>),
    Finish(Box<Ask<Finishing>>),
    Settle(Ask<Settlement>),
    Single { keys: Vec<u64>, single: Box<dyn AnySingle> },
}

impl Waiting {
    pub(super) fn keys(&self) -> Vec<u64> {
        match self {
            Self::Submit(ask) => ask.request.keys(),
            Self::Accept(ask) => ask.request.keys(),
            Self::Journal(ask) => ask.request.keys(),
            Self::Finish(ask) => ask.request.keys(),
            Self::Settle(ask) => ask.request.keys(),
            Self::Single { keys, .. } => keys.clone(),
        }
    }
}
