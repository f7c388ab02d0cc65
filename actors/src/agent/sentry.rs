//! The sentry: stands at the queue of an agent that sleeps, and wakes it. There may be thousands: what one does now and
//! then is boxed, so that its task has room for waiting only.

use std::{sync::Arc, time::Duration};

use greenroom_config::load::Definition;
use greenroom_contract::{
    clock::to_millis,
    port::{
        bus::{Delivery, Subscription},
        state::{Accepted, Arrival},
    },
    task,
};
use ractor::ActorRef;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::message::Message;
use crate::ports::Ports;

/// How often the store is asked for due work without a reason to: rarer than of an agent that is awake.
const LOOK_ANYWAY: Duration = Duration::from_secs(60);
/// The wait after a failure of bus or store.
const WAIT: Duration = Duration::from_secs(1);

/// What the sentry needs to know.
pub(super) struct Sentry {
    pub(super) ports: Arc<Ports>,
    pub(super) definition: Arc<Definition>,
    pub(super) poke: Arc<Notify>,
    pub(super) agent: ActorRef<Message>,
    pub(super) stop: CancellationToken,
}

impl Sentry {
    /// Stands until there is work, which it puts into the inbox before it wakes the agent, or until the guard is dropped.
    pub(super) fn start(self) -> DropGuard {
        let guard = self.stop.clone().drop_guard();
        task::spawn("sentry", async move {
            if self.stand().await {
                // An agent that has ended meanwhile finds the work at its next start.
                drop(self.agent.send_message(Message::Wake));
            }
        });
        guard
    }

    /// Returns whether the agent is to be woken.
    async fn stand(&self) -> bool {
        let queue = self.definition.spec.name.input_topic();
        while !self.stop.is_cancelled() {
            match self.ports.bus.consume(&queue, 1).await {
                Ok(subscription) => {
                    if self.watch(subscription).await {
                        return true;
                    }
                }
                Err(error) => {
                    tracing::warn!(queue, %error, "The queue of a sleeping agent cannot be watched; tried again.")
                }
            }
            self.pause().await;
        }
        false
    }

    async fn watch(&self, mut subscription: Subscription<Delivery>) -> bool {
        loop {
            let look_again = match Box::pin(self.until_due()).await {
                Some(Duration::ZERO) => return true,
                Some(wait) => wait,
                None => LOOK_ANYWAY,
            };
            tokio::select! {
                () = self.stop.cancelled() => return false,
                delivery = subscription.next() => match delivery {
                    Some(delivery) => if Box::pin(self.take_in(delivery)).await { return true },
                    None => return false,
                },
                () = self.poke.notified() => {}
                () = tokio::time::sleep(look_again) => {}
            }
        }
    }

    /// When the next execution in the store is due, if there is one.
    async fn until_due(&self) -> Option<Duration> {
        match self.ports.state.backlog(&self.definition.spec.name).await {
            Ok((0, _)) => None,
            Ok((_, due)) => {
                let millis = due.map_or(0, |due| to_millis(due) - to_millis(self.ports.clock.now()));
                Some(Duration::from_millis(millis.max(0) as u64).min(LOOK_ANYWAY))
            }
            Err(_) => Some(WAIT),
        }
    }

    /// Takes a delivery into the inbox, unclaimed. Returns whether there is something new.
    async fn take_in(&self, delivery: Delivery) -> bool {
        let arrival = Arrival {
            agent: self.definition.spec.name.clone(),
            version: self.definition.version.clone(),
            event: delivery.event.clone(),
            claim: None,
        };
        let accepted = match self.ports.state.accept(arrival).await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "An event for a sleeping agent cannot be taken in; it stays in its queue.");
                drop(delivery);
                self.pause().await;
                return false;
            }
        };
        if let Err(error) = delivery.accept().await {
            // It will come again and be dropped as a duplicate.
            tracing::warn!(%error, "A delivery could not be acknowledged.");
        }
        !matches!(accepted, Accepted::Duplicate(_))
    }

    async fn pause(&self) {
        // Being stopped ends the pause; either way the caller looks again.
        drop(tokio::time::timeout(WAIT, self.stop.cancelled()).await);
    }
}
