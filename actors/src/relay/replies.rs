//! The loop that sends replies to people, beside the relay's.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use greenroom_contract::{
    BoxFuture, NodeId,
    execution::Failure,
    port::{
        reply::{Replies, Reply},
        state::{OutboxId, OutboxOutcome, OutboxRow, Outgoing, Wanted},
    },
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    hand::Hand,
    run::{LAST_ROUNDS, failed},
    step::after_reply,
};
use crate::{execution::persist, ports::Ports, service::service, supervisor::ChildSpec};

/// Replies on their way at a time. Each goes to another address, because the store keeps those to one in order; what has to keep
/// its distance from the one before waits a moment on its way. No more are taken from the store than can be sent at once: the
/// rest waits there, or its lease would run out here, and another node would send it, too.
const AT_ONCE: usize = 64;
/// How often the outbox is looked at without a reason to: retries become due by time.
const LOOK_ANYWAY: Duration = Duration::from_secs(1);
/// How long what is on its way when the node stops may take, after the last rounds; together they are less than a service has.
const LANDING: Duration = Duration::from_secs(2);

/// The replies as a service of the node.
pub fn replies(ports: Arc<Ports>, replies: Arc<dyn Replies>) -> ChildSpec {
    service("replies", move |stop| {
        let desk = Desk { ports: Arc::clone(&ports), replies: Arc::clone(&replies) };
        async move { run(&desk, stop).await }
    })
}

/// What each reply is sent with.
struct Desk {
    ports: Arc<Ports>,
    replies: Arc<dyn Replies>,
}

async fn run(desk: &Desk, stop: CancellationToken) -> Result<(), Failure> {
    let Desk { ports, .. } = desk;
    let mut flights = Flights { desk, flying: FuturesUnordered::new(), hand: Hand::default() };
    let (mut look, mut told_at) = (true, None);
    let mut look_anyway = Instant::now() + LOOK_ANYWAY;
    loop {
        if stop.is_cancelled() && told_at.get_or_insert_with(Instant::now).elapsed() > LAST_ROUNDS {
            return flights.end().await;
        }
        let room = AT_ONCE.saturating_sub(flights.flying.len());
        if room > 0 && (look || told_at.is_some()) {
            let (node, lost) = (&ports.node, ports.lease.judges_others());
            flights.hand.forget_settled();
            let rows = flights.beside(claim(ports, node, room, lost)).await?.map_err(failed)?;
            look_anyway = Instant::now() + LOOK_ANYWAY;
            look = flights.launch(rows);
            if look {
                continue;
            }
            if told_at.is_some() {
                return flights.end().await;
            }
        }
        tokio::select! {
            () = stop.cancelled(), if told_at.is_none() => {}
            () = tokio::time::sleep(LAST_ROUNDS), if told_at.is_some() => {}
            () = ports.outbox.replies() => look = true,
            // It may have held back the next one to its address, and makes room.
            landed = flights.next() => {
                landed?;
                look = true;
            }
            () = tokio::time::sleep_until(look_anyway), if room > 0 => look = true,
        }
    }
}

async fn claim(
    ports: &Ports,
    node: &NodeId,
    room: usize,
    lost: bool,
) -> Result<Vec<OutboxRow>, greenroom_contract::port::state::Error> {
    let wanted = Wanted::Replies(u32::try_from(room).unwrap_or(u32::MAX));
    persist("outbox", || ports.state.claim_outbox(node, wanted, lost)).await
}

/// Replies on their way, each for itself.
struct Flights<'a> {
    desk: &'a Desk,
    flying: FuturesUnordered<BoxFuture<'a, Result<OutboxId, Failure>>>,
    hand: Hand,
}

impl Flights<'_> {
    /// Sends off what is new. Returns whether anything was.
    fn launch(&mut self, rows: Vec<OutboxRow>) -> bool {
        let rows = self.hand.take_up(rows);
        let is_new = !rows.is_empty();
        let desk = self.desk;
        self.flying.extend(rows.into_iter().map(|row| -> BoxFuture<'_, _> { Box::pin(desk.deliver(row)) }));
        is_new
    }

    /// Resolves when the next one is settled; never while there is none. Cancelling it loses nothing.
    async fn next(&mut self) -> Result<(), Failure> {
        match self.flying.next().await {
            Some(settled) => {
                self.hand.settle([settled?]);
                Ok(())
            }
            None => std::future::pending().await,
        }
    }

    /// Awaits `work` while replies go on.
    async fn beside<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                landed = self.next() => landed?,
            }
        }
    }

    /// Awaits all of them for a while. Who has not taken his by then gets it again from whoever has the rows next.
    async fn end(&mut self) -> Result<(), Failure> {
        let all = async {
            while !self.flying.is_empty() {
                self.next().await?;
            }
            Ok(())
        };
        tokio::time::timeout(LANDING, all).await.unwrap_or_else(|_| {
            tracing::warn!(open = self.flying.len(), "Replies that were not taken in time are left to the next start.");
            Ok(())
        })
    }
}

impl Desk {
    /// Sends one, and writes down at once what became of it: whoever has it must not get it again.
    async fn deliver(&self, row: OutboxRow) -> Result<OutboxId, Failure> {
        let (id, attempts) = (row.id, row.attempts);
        let Outgoing::Reply { to, text, is_error, card, trace_id } = row.outgoing else { return Ok(id) };
        let span = tracing::info_span!("reply", %trace_id, reply.kind = to.kind());
        let reply = Reply { id: id.0.to_string(), to, text, is_error, card, trace_id };
        let outcome = async {
            match self.replies.send(reply).await {
                Ok(()) => {
                    tracing::info!("Reply delivered.");
                    OutboxOutcome::Delivered
                }
                Err(error) => {
                    tracing::warn!(%error, "Reply not delivered.");
                    after_reply(attempts, &error, greenroom_contract::jitter())
                }
            }
        };
        let outcome = outcome.instrument(span).await;
        let settle = || self.ports.state.settle_outbox(vec![(id, outcome.clone())]);
        persist("outbox", settle).await.map_err(failed)?;
        Ok(id)
    }
}
