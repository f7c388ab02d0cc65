//! The node's lease and the health of what it stands on.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use greenroom_contract::port::operator::{ComponentHealth, HealthStatus};
use tokio::time::{Interval, MissedTickBehavior};

use crate::{ports::Ports, service::service, supervisor::ChildSpec};

/// How often the lease is renewed.
const EVERY: Duration = Duration::from_secs(1);
/// How long a node's lease holds without being renewed; then others take up its executions.
pub const LEASE: Duration = Duration::from_secs(4);
/// How often the bus is asked how it is: it costs a write, and nothing depends on hearing of it within the second.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// How long a probe may take before the component counts as down.
const PROBE: Duration = Duration::from_secs(3);

/// The last known health of store and bus.
#[derive(Debug, Default)]
pub struct Vitals {
    state: Mutex<Option<String>>,
    bus: Mutex<Option<String>>,
}

impl Vitals {
    /// Store and bus as components.
    pub fn components(&self) -> Vec<ComponentHealth> {
        vec![component("store", &self.state), component("bus", &self.bus)]
    }
}

fn component(name: &str, cell: &Mutex<Option<String>>) -> ComponentHealth {
    let reason = cell.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let status = if reason.is_some() { HealthStatus::Down } else { HealthStatus::Ok };
    ComponentHealth { component: name.to_owned(), status, reason }
}

/// The monitor as a service of the node.
pub fn store_monitor(ports: Arc<Ports>, vitals: Arc<Vitals>) -> ChildSpec {
    service("store-monitor", move |stop| {
        let (ports, vitals) = (Arc::clone(&ports), Arc::clone(&vitals));
        async move {
            let mut beat = ticks(EVERY);
            let mut probe = ticks(PROBE_EVERY);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    _ = beat.tick() => {
                        let beat = async { ports.state.heartbeat(&ports.node, LEASE).await.map_err(|e| e.to_string()) };
                        note("store", &vitals.state, within(beat).await);
                    }
                    _ = probe.tick() => {
                        let bus = async { ports.bus.health().await.map_err(|e| e.to_string()) };
                        note("bus", &vitals.bus, within(bus).await);
                    }
                }
            }
        }
    })
}

fn ticks(every: Duration) -> Interval {
    let mut interval = tokio::time::interval(every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

async fn within(probe: impl Future<Output = Result<(), String>>) -> Option<String> {
    match tokio::time::timeout(PROBE, probe).await {
        Ok(Ok(())) => None,
        Ok(Err(reason)) => Some(reason),
        Err(_) => Some(format!("no answer within {PROBE:?}")),
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
