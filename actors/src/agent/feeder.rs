//! The feeder: takes work for an agent, one credit at a time.
//!
//! With a credit in hand it first claims what is due in the store (retries, what a crash left behind), then waits for
//! whatever comes first: a delivery from the queue, a poke (by its agent, or by the node's scout), or the time of the next
//! retry. The credit travels with the execution. A delivery is acknowledged once its execution row is committed.
//! Where order does not matter, several deliveries are on their way in at a time, each with a credit, so that the store can
//! commit them together.
//!
//! There are thousands of feeders, and nearly all of them wait: what one does now and then is boxed, so that its task has
//! room for waiting only.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use greenroom_contract::{
    AgentId,
    clock::to_millis,
    port::{
        bus::{Delivery, Subscription},
        state::{Accepted, Arrival, Claim, Error},
    },
    task,
};
use ractor::ActorRef;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument;

use super::{AgentHandle, Parcel, Tenure, message::Message};
use crate::{execution::Kit, ports::Ports};

/// How long a retry is waited for at most before the store is asked again. Without one, and where nothing is in the way,
/// nothing is asked: the node's scout asks for all.
const LOOK_ANYWAY: Duration = Duration::from_secs(60);
/// The wait after a failure of bus or store, at first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How often an agent that works in order looks whether what another node has to do before it is done.
const OTHERS: Duration = Duration::from_secs(1);
/// How long an agent that works in order waits for what came before by another queue.
const PATIENCE: Duration = Duration::from_secs(15);
/// How many deliveries beyond the credits are held ready.
const LOOK_AHEAD: usize = 1;

pub(super) struct Feeder {
    /// Which of its shell's it is.
    pub(super) number: u32,
    pub(super) ports: Arc<Ports>,
    pub(super) kit: Arc<Kit>,
    pub(super) credits: Arc<Semaphore>,
    pub(super) tenure: Arc<Tenure>,
    pub(super) poke: Arc<Notify>,
    /// Knows whether the queue leads here, since before this feeder.
    pub(super) handle: AgentHandle,
    pub(super) agent: ActorRef<Message>,
    pub(super) stop: CancellationToken,
}

impl Feeder {
    /// Runs until the guard is dropped. It is never interrupted between a claim and its hand-over; deliveries that it
    /// still holds go back to their queue, also by a fault of its own, after which it begins anew: its agent would be deaf.
    pub(super) fn start(self) -> DropGuard {
        let guard = self.stop.clone().drop_guard();
        task::spawn("feeder", async move {
            let mut wait = FIRST_WAIT;
            // All that a fault may leave half done is this feeder's own, and gone with its run.
            while AssertUnwindSafe(self.run()).catch_unwind().await.is_err() {
                tracing::error!(agent = %self.name(), "The feeder of an agent panicked; it begins anew.");
                self.handle.here().ended();
                self.pause(&mut wait).await;
            }
            // A shell that has ended has no use for it.
            drop(self.agent.send_message(Message::Unfed(self.number)));
        });
        guard
    }

    async fn run(&self) {
        let queue = self.name().input_topic();
        let prefetch = if self.kit.spec.ordered() { 1 } else { self.kit.spec.capacity() as usize + LOOK_AHEAD };
        let mut wait = FIRST_WAIT;
        while !self.stop.is_cancelled() {
            let shares = self.ports.sorting.shares(self.name());
            if shares {
                // What comes for it, the sorter takes in.
                self.feed(Subscription::silent(), shares).await;
                self.pause(&mut wait).await;
                continue;
            }
            if self.kit.spec.ordered() {
                // What waits in a queue that it shared before comes first.
                self.ports.sorting.is_done_within(PATIENCE).await;
            }
            match self.ports.bus.consume(&queue, prefetch).await {
                Ok(subscription) => {
                    wait = FIRST_WAIT;
                    self.feed(subscription, shares).await;
                    self.handle.here().ended();
                    tracing::debug!(agent = %self.name(), queue, "The subscription has ended.");
                }
                Err(error) => {
                    tracing::warn!(agent = %self.name(), queue, %error, "The queue cannot be consumed; tried again.");
                }
            }
            self.pause(&mut wait).await;
        }
    }

    /// Feeds until the subscription ends, the feeder is stopped, or the agent's events come by another queue.
    async fn feed(&self, mut subscription: Subscription<Delivery>, shares: bool) {
        // A question is enough for the many that have nothing to claim; a claim would be a write.
        let mut look = Box::pin(self.ports.state.backlog(self.name())).await.map_or(true, |(waits, _)| waits > 0);
        let mut wait = FIRST_WAIT;
        let mut next_look = None;
        let mut blocked = false;
        let mut arriving = FuturesUnordered::new();
        let mut turned = std::pin::pin!(self.ports.sorting.turned(self.name(), shares));
        loop {
            let credit = tokio::select! {
                () = self.stop.cancelled() => break,
                () = &mut turned => break,
                Some(again) = arriving.next(), if !arriving.is_empty() => {
                    look |= again;
                    continue;
                }
                credit = Arc::clone(&self.credits).acquire_owned() => match credit {
                    Ok(credit) => credit,
                    Err(_) => break,
                },
            };
            if look {
                match Box::pin(self.claim_one()).await {
                    Ok(Some(claimed)) => {
                        self.hand_over(claimed, credit);
                        continue;
                    }
                    Ok(None) => {
                        (blocked, next_look) = Box::pin(self.until_due()).await;
                        wait = FIRST_WAIT;
                        look = false;
                    }
                    Err(error) => {
                        tracing::warn!(agent = %self.name(), %error, "Due work cannot be looked for; tried again.");
                        self.pause(&mut wait).await;
                        continue;
                    }
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = &mut turned => break,
                Some(again) = arriving.next(), if !arriving.is_empty() => look |= again,
                delivery = subscription.next(), if !blocked => match delivery {
                    Some(delivery) => {
                        let arrival = Box::pin(self.take_in(delivery, credit));
                        if self.kit.spec.ordered() {
                            look = arrival.await;
                        } else {
                            look = false;
                            arriving.push(arrival);
                        }
                    }
                    None => break,
                },
                () = self.poke.notified() => look = true,
                () = after(next_look) => look = true,
            }
        }
        // What is on its way in arrives.
        while arriving.next().await.is_some() {}
    }

    async fn pause(&self, wait: &mut Duration) {
        // Being stopped ends the pause; either way the caller looks again.
        drop(tokio::time::timeout(*wait, self.stop.cancelled()).await);
        *wait = (*wait * 2).min(LONGEST_WAIT);
    }

    async fn claim_one(&self) -> Result<Option<Box<greenroom_contract::execution::Claimed>>, Error> {
        let spec = &self.kit.spec;
        let claim = Claim {
            node: self.ports.node.clone(),
            agent: spec.name.clone(),
            limit: 1,
            ordered: spec.ordered(),
            lost: self.ports.lease.judges_others(),
            here: self.handle.here().leads(&*self.ports.bus),
        };
        Ok(self.ports.state.claim(claim).await?.pop().map(Box::new))
    }

    /// Whether an ordered agent must wait for its earlier executions, and when to look again.
    async fn until_due(&self) -> (bool, Option<Duration>) {
        match self.ports.state.backlog(self.name()).await {
            Ok((0, _)) => (false, None),
            Ok((_, due)) => {
                let millis = due.map_or(0, |due| to_millis(due) - to_millis(self.ports.clock.now()));
                let until = match u64::try_from(millis) {
                    // A little late rather than a little early: early would find nothing.
                    Ok(millis @ 1..) => Some(Duration::from_millis(millis + 2).min(LOOK_ANYWAY)),
                    // It is due and was not to be had: somebody else's, for now. When that is done, nobody says so, and what comes
                    // by the queue waits for it here.
                    _ => self.kit.spec.ordered().then_some(OTHERS),
                };
                (self.kit.spec.ordered(), until)
            }
            Err(_) => (self.kit.spec.ordered(), Some(FIRST_WAIT)),
        }
    }

    /// Takes a delivery into the inbox. Returns whether the store is to be looked at next.
    async fn take_in(&self, delivery: Delivery, credit: OwnedSemaphorePermit) -> bool {
        self.handle.here().served(&*self.ports.bus);
        let span = tracing::info_span!(
            "inbox", trace_id = %delivery.event.trace_id, agent = %self.name(), event_id = %delivery.event.event_id
        );
        async {
            let spec = &self.kit.spec;
            let arrival = Arrival {
                agent: spec.name.clone(),
                version: self.kit.version.clone(),
                event: delivery.event.clone(),
                claim: (!spec.ordered()).then(|| self.ports.node.clone()),
            };
            let look = match self.ports.state.accept(arrival).await {
                Ok(Accepted::Claimed(claimed)) => {
                    tracing::info!(execution_id = %claimed.fence.execution, topic = delivery.event.event_type, "Event taken in.");
                    self.hand_over(claimed, credit);
                    false
                }
                Ok(Accepted::Queued(execution)) => {
                    tracing::info!(execution_id = %execution, topic = delivery.event.event_type, "Event taken in.");
                    true
                }
                Ok(Accepted::Duplicate(execution)) => {
                    tracing::info!(execution_id = %execution, "An event that came before is dropped.");
                    false
                }
                Err(error) => {
                    // Dropping the delivery gives it back; the wait keeps it from spinning.
                    tracing::warn!(%error, "An event cannot be taken in; it stays in its queue.");
                    drop(delivery);
                    self.pause(&mut (FIRST_WAIT * 5)).await;
                    return true;
                }
            };
            if let Err(error) = delivery.accept().await {
                // It will come again and be dropped as a duplicate.
                tracing::warn!(%error, "A delivery could not be acknowledged.");
            }
            look
        }
        .instrument(span)
        .await
    }

    fn hand_over(&self, claimed: Box<greenroom_contract::execution::Claimed>, credit: OwnedSemaphorePermit) {
        // An agent that has ended gives it back by dropping it.
        if let Some(parcel) = Parcel::new(&self.ports, &self.tenure, claimed, credit) {
            drop(self.agent.send_message(Message::Claimed(parcel)));
        }
    }

    fn name(&self) -> &AgentId {
        &self.kit.spec.name
    }
}

/// Resolves after that time, or never.
async fn after(time: Option<Duration>) {
    match time {
        Some(time) => Box::pin(tokio::time::sleep(time)).await,
        None => std::future::pending().await,
    }
}
