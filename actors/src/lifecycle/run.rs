//! The service's loop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use greenroom_contract::{
    AgentId, Event, NodeId,
    port::bus::{Bus, Error, Publication},
    tree::{Change, Changes, Table},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::step::{self, News};
use crate::{ports::Ports, service::service, supervisor::ChildSpec};

/// How many changes are taken at a time.
const BATCH: usize = 256;
/// So many times that may be read and not told yet.
const AHEAD: usize = 256;
/// The wait before a bus that is away is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Tells whether an agent listens to a topic.
pub trait Watchers: Send + Sync + 'static {
    /// Whether this agent subscribed to this topic.
    fn listens(&self, agent: &AgentId, topic: &str) -> bool;
}

/// The lifecycle as a service of the node. It falls silent when `closing` is cancelled: that its agents stop with the
/// node is not news of theirs.
pub fn lifecycle(ports: &Ports, watchers: Arc<dyn Watchers>, closing: CancellationToken) -> ChildSpec {
    let teller = Arc::new(Teller {
        node: ports.node.clone(),
        table: ports.table.clone(),
        bus: Arc::clone(&ports.bus),
        watchers,
        // Kept over restarts of the service, so that these lose nothing.
        at: AtomicU64::new(ports.table.version()),
    });
    service("lifecycle", move |stop| {
        let (teller, closing) = (Arc::clone(&teller), closing.clone());
        async move {
            tokio::select! {
                () = teller.run() => {}
                () = closing.cancelled() => stop.cancelled().await,
                () = stop.cancelled() => {}
            }
            Ok(())
        }
    })
}

pub(super) struct Teller {
    pub(super) node: NodeId,
    pub(super) table: Table,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) watchers: Arc<dyn Watchers>,
    pub(super) at: AtomicU64,
}

impl Teller {
    /// Tells for ever. Ending it between two events loses none that the next run will not tell. Reading goes ahead of
    /// telling: when ten thousand agents start at once, the ring turns faster than a bus takes what is told.
    pub(super) async fn run(&self) {
        let (ahead, mut read) = mpsc::channel(AHEAD);
        let tell = async {
            while let Some((events, next)) = read.recv().await {
                self.tell(events).await;
                self.at.store(next, Ordering::Relaxed);
            }
        };
        futures::join!(self.read(ahead), tell);
    }

    async fn read(&self, ahead: mpsc::Sender<(Vec<Event>, u64)>) {
        let mut newest = self.table.subscribe();
        let mut at = self.at.load(Ordering::Relaxed);
        loop {
            let (events, next) = match self.table.changes_since(at, BATCH) {
                Changes::Some(changes) => {
                    let Some(last) = changes.last().map(|change| change.seq) else {
                        // The table outlives its readers: this ends only with something new.
                        drop(newest.changed().await);
                        continue;
                    };
                    (changes.iter().filter_map(|change| self.news(change)).collect(), last)
                }
                Changes::Gap => {
                    let next = self.table.version();
                    tracing::warn!(
                        missed = next.saturating_sub(at),
                        "More happened than could be told; it goes on with the present."
                    );
                    (vec![step::gap(&self.node, at, next)], next)
                }
            };
            if ahead.send((events, next)).await.is_err() {
                return;
            }
            at = next;
        }
    }

    fn news(&self, change: &Change) -> Option<Event> {
        let agent = step::agent_of(change)?;
        let news = News::of(change)?;
        let watches = News::ALL.iter().any(|news| self.watchers.listens(&agent, news.topic()));
        (!watches).then(|| step::event(&self.node, &agent, news, change))
    }

    /// Publishes, and keeps on at it while the bus is away. Nobody has to listen.
    async fn tell(&self, mut events: Vec<Event>) {
        let mut waited = false;
        while !events.is_empty() {
            let batch = events.iter().map(|event| Publication { event: event.clone(), mandatory: false }).collect();
            let results = self.bus.publish(batch).await;
            let mut left = Vec::new();
            for (event, result) in events.into_iter().zip(results) {
                match result {
                    Err(Error::Unavailable { reason }) => {
                        if !waited {
                            tracing::warn!(error = reason, "The bus is unavailable; lifecycle events wait for it.");
                            waited = true;
                        }
                        left.push(event);
                    }
                    Err(error) => tracing::warn!(%error, topic = event.event_type, "A lifecycle event was refused."),
                    Ok(_) => {}
                }
            }
            events = left;
            if !events.is_empty() {
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}
