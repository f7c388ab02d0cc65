//! The node's lease and the health of what it stands on.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use greenroom_contract::port::operator::{ComponentHealth, HealthStatus};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::{ports::Ports, service::service, supervisor::ChildSpec};

/// How often the lease is renewed.
const EVERY: Duration = Duration::from_secs(1);
/// How long a node's lease holds without being renewed; then others take up its executions.
pub const LEASE: Duration = Duration::from_secs(4);
/// How often the bus is asked how it is: it costs a write, and nothing depends on hearing of it within the second.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// How long a probe may take before the component counts as down.
const PROBE: Duration = Duration::from_secs(3);
/// How long the bus may take: shorter, because the lease is renewed by the same hand.
const BUS_PROBE: Duration = Duration::from_secs(2);

/// Tells how a part is that knows it by itself. Asked at each look at the health, so it must not wait.
pub type Ask = Box<dyn Fn() -> ComponentHealth + Send + Sync>;

/// The last known health of what the node stands on.
#[derive(Default)]
pub struct Vitals {
    state: Mutex<Option<String>>,
    bus: Mutex<Option<String>>,
    cache: Option<Ask>,
}

impl Vitals {
    /// Those of a node that has a cache before its store, or none.
    pub fn new(cache: Option<Ask>) -> Self {
        Self { cache, ..Self::default() }
    }

    /// Store, bus and cache as components.
    pub fn components(&self) -> Vec<ComponentHealth> {
        let mut components = vec![component("store", &self.state), component("bus", &self.bus)];
        components.extend(self.cache.as_ref().map(|ask| ask()));
        components
    }
}

fn component(name: &str, cell: &Mutex<Option<String>>) -> ComponentHealth {
    let reason = cell.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let status = if reason.is_some() { HealthStatus::Down } else { HealthStatus::Ok };
    ComponentHealth { component: name.to_owned(), status, reason }
}

/// What is to be done when the node's lease has run out and others may take its work.
pub type OnLost = Arc<dyn Fn() + Send + Sync>;

/// The monitor as a service of the node. `on_lost` is called when the lease could not be renewed for [`LEASE`] by this
/// process's own clock, once for each loss; an embedded node has nobody who could take its work, and gives `None`.
pub fn store_monitor(ports: Arc<Ports>, vitals: Arc<Vitals>, on_lost: Option<OnLost>) -> ChildSpec {
    service("store-monitor", move |stop| {
        let (ports, vitals) = (Arc::clone(&ports), Arc::clone(&vitals));
        let mut lease = Lease { renewed: Instant::now(), on_lost: on_lost.clone(), lost: false };
        async move {
            let mut beat = ticks(EVERY);
            let mut probe = ticks(PROBE_EVERY);
            loop {
                tokio::select! {
                    // A process that was frozen looks at its lease before it does anything else.
                    biased;
                    () = stop.cancelled() => return Ok(()),
                    () = tokio::time::sleep_until(lease.runs_out()), if lease.watched() => lease.lose(),
                    _ = beat.tick() => {
                        let began = Instant::now();
                        let beat = async { ports.state.heartbeat(&ports.node, LEASE).await.map_err(|e| e.to_string()) };
                        // A silent store must not hide that the lease runs out meanwhile.
                        let patience = match lease.watched() {
                            true => lease.runs_out().saturating_duration_since(began).min(PROBE),
                            false => PROBE,
                        };
                        let news = within(patience, beat).await;
                        if news.is_none() {
                            lease.renew(began);
                        }
                        note("store", &vitals.state, news);
                    }
                    _ = probe.tick() => {
                        let bus = async { ports.bus.health().await.map_err(|e| e.to_string()) };
                        note("bus", &vitals.bus, within(BUS_PROBE, bus).await);
                    }
                }
            }
        }
    })
}

/// The lease as this process knows it, by a clock that no other machine can set.
struct Lease {
    /// When the last renewal that succeeded was begun.
    renewed: Instant,
    on_lost: Option<OnLost>,
    lost: bool,
}

impl Lease {
    fn runs_out(&self) -> Instant {
        self.renewed + LEASE
    }

    fn watched(&self) -> bool {
        self.on_lost.is_some() && !self.lost
    }

    fn lose(&mut self) {
        self.lost = true;
        tracing::error!(lease_ms = LEASE.as_millis() as u64, "The node's lease has run out; others may take its work.");
        if let Some(on_lost) = &self.on_lost {
            on_lost();
        }
    }

    fn renew(&mut self, at: Instant) {
        if self.lost {
            tracing::info!("The node has its lease again.");
        }
        (self.renewed, self.lost) = (at, false);
    }
}

fn ticks(every: Duration) -> Interval {
    let mut interval = tokio::time::interval(every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

async fn within(patience: Duration, probe: impl Future<Output = Result<(), String>>) -> Option<String> {
    match tokio::time::timeout(patience, probe).await {
        Ok(Ok(())) => None,
        Ok(Err(reason)) => Some(reason),
        Err(_) => Some(format!("no answer within {patience:?}")),
    }
}

/// Keeps the news, and logs a change once.
fn note(name: &str, cell: &Mutex<Option<String>>, news: Option<String>) {
    let mut known = cell.lock().unwrap_or_else(PoisonError::into_inner);
    match (&*known, &news) {
        (None, Some(reason)) => {
            tracing::error!(component = name, error = reason, "A component is down; work waits for it.")
        }
        (Some(_), None) => tracing::info!(component = name, "A component is back; work goes on."),
        _ => {}
    }
    *known = news;
}
