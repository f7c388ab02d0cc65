//! A desk: stands at one shared queue.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use greenroom_contract::{
    port::bus::{Delivery, Subscription},
    task,
};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    intake::{Intake, put_back, take_in},
    plan::Queue,
};
use crate::{orchestrator::Orchestrator, ports::Ports};

/// How many deliveries are unsettled at a time. Where order is free they arrive together, so that the store commits them
/// together.
pub(super) const PREFETCH: usize = 64;
/// The wait after a failure, or the end of the subscription.
const AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Desk {
    pub(super) ports: Arc<Ports>,
    pub(super) orchestrator: Orchestrator,
    pub(super) queue: Queue,
}

impl Desk {
    /// Stands there until the guard is dropped; what is in hand then is still taken in.
    pub(super) fn open(self) -> DropGuard {
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        drop(task::spawn("sorter-desk", async move { self.run(&stop).await }));
        guard
    }

    async fn run(&self, stop: &CancellationToken) {
        let name = &self.queue.name;
        while !stop.is_cancelled() {
            match self.ports.bus.consume(name, PREFETCH).await {
                Ok(subscription) => {
                    self.serve(subscription, stop).await;
                    // Where one consumer is served, it may be another now.
                    let plan = self.ports.sorting.plan();
                    plan.agents_of(name).for_each(|agent| self.orchestrator.queue_left(agent));
                }
                Err(error) => tracing::warn!(queue = name, %error, "A shared queue cannot be consumed; tried again."),
            }
            drop(timeout(AGAIN, stop.cancelled()).await);
        }
    }

    async fn serve(&self, mut subscription: Subscription<Delivery>, stop: &CancellationToken) {
        let mut arriving = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(()) = arriving.next(), if !arriving.is_empty() => {}
                delivery = subscription.next(), if arriving.len() < PREFETCH => match delivery {
                    Some(delivery) if self.queue.ordered => {
                        // Those that are put back are out of the order anyway, and hold up nobody.
                        if let Intake::Unknown(delivery, agent) = self.take_in(delivery).await {
                            arriving.push(futures::future::Either::Left(put_back(delivery, agent)));
                        }
                    }
                    Some(delivery) => arriving.push(futures::future::Either::Right(self.whole(delivery))),
                    None => break,
                },
            }
        }
        while arriving.next().await.is_some() {}
    }

    async fn whole(&self, delivery: Delivery) {
        if let Intake::Unknown(delivery, agent) = self.take_in(delivery).await {
            put_back(delivery, agent).await;
        }
    }

    async fn take_in(&self, delivery: Delivery) -> Intake {
        take_in(&self.ports, &self.orchestrator, delivery, true).await
    }
}
