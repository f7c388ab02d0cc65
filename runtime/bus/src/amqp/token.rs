//! One delivery: who holds it, and what becomes of it.

use std::sync::Arc;

use greenroom_contract::{
    BoxFuture, Clock,
    execution::Failure,
    port::bus::{DEAD_LETTER_QUEUE, Error, Settle, Verdict},
};
use lapin::{
    Acker,
    options::{BasicAckOptions, BasicRejectOptions},
};
use tokio::time::timeout;

use super::{
    call::unavailable,
    ledger::Ledger,
    message::{Letter, Parcel},
    options::CALL,
    publish::{Outcome, Publisher},
};
use crate::finish::to_the_end;

/// A delivery that the broker waits for.
#[derive(Debug)]
pub(super) struct Held {
    /// The subscription's connection that it came by; it means nothing on another.
    pub(super) epoch: u64,
    /// Its number within that.
    pub(super) number: u64,
    pub(super) letter: Letter,
    pub(super) acker: Acker,
}

impl Held {
    async fn accept(&self) -> Result<(), Error> {
        match timeout(CALL, self.acker.ack(BasicAckOptions::default())).await {
            Ok(Ok(true)) => Ok(()),
            // False: its channel is gone, or it was settled before. The broker has given it to somebody, or will.
            Ok(Ok(false) | Err(_)) | Err(_) => Err(Error::Stale),
        }
    }

    /// Back to the queue. `reject` and not `nack`, which from RabbitMQ 4.3 on goes round for ever.
    pub(super) async fn requeue(&self) {
        drop(timeout(CALL, self.acker.reject(BasicRejectOptions { requeue: true })).await);
    }
}

/// What verdicts need.
pub(super) struct Desk {
    pub(super) publisher: Publisher,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) delivery_limit: u32,
}

impl Desk {
    async fn settle(&self, ledger: &Ledger, held: &Held, verdict: Verdict) -> Result<(), Error> {
        match verdict {
            Verdict::Accept => {}
            Verdict::Reject(reason) if held.letter.rejections + 1 < self.delivery_limit => {
                self.send(held.letter.again(ledger.back(), &reason)?).await?;
            }
            Verdict::Reject(reason) | Verdict::Dead(reason) => self.bury(ledger.name(), held, &reason).await?,
        }
        // Only now: what was sent on is confirmed. A crash in between makes a second copy, never none.
        held.accept().await
    }

    /// Copies a message to the dead letters.
    async fn bury(&self, queue: &str, held: &Held, reason: &Failure) -> Result<(), Error> {
        let death = held.letter.death(queue, reason, self.clock.now());
        self.send(held.letter.dead(DEAD_LETTER_QUEUE, &death)?).await?;
        tracing::warn!(queue, attempts = death.attempts, error = %death.reason, "A message went to the dead letters.");
        Ok(())
    }

    async fn send(&self, parcel: Parcel) -> Result<(), Error> {
        match self.publisher.send(vec![parcel]).await.pop() {
            Some(Outcome::Taken) => Ok(()),
            Some(Outcome::Failed(error)) => Err(error),
            Some(Outcome::Returned) => Err(unavailable("the queue is gone")),
            Some(Outcome::Late) | None => Err(unavailable("the broker did not confirm in time")),
        }
    }
}

/// Whoever holds it decides. Dropped without a verdict, the delivery comes again.
pub(super) struct Token {
    hold: Hold,
    desk: Arc<Desk>,
}

impl Token {
    pub(super) fn new(held: Arc<Held>, ledger: Arc<Ledger>, desk: Arc<Desk>) -> Self {
        Self { hold: Hold { held, ledger, settled: false }, desk }
    }

    /// Carries out a verdict. When it cannot be carried out, the delivery comes again once this is dropped.
    pub(super) async fn decide(&mut self, verdict: Verdict) -> Result<(), Error> {
        let Self { hold, desk } = self;
        if !hold.ledger.has(&hold.held) {
            hold.settled = true;
            return Err(Error::Stale);
        }
        let answer = desk.settle(&hold.ledger, &hold.held, verdict).await;
        if matches!(answer, Ok(()) | Err(Error::Stale)) {
            hold.settled = true;
            hold.ledger.settled(&hold.held);
        }
        answer
    }
}

impl Settle for Token {
    fn settle(mut self: Box<Self>, verdict: Verdict) -> BoxFuture<'static, Result<(), Error>> {
        to_the_end("bus-settle", async move { self.decide(verdict).await })
    }
}

struct Hold {
    held: Arc<Held>,
    ledger: Arc<Ledger>,
    settled: bool,
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.settled {
            self.ledger.give_back(&self.held);
        }
    }
}
