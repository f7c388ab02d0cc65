//! The node's lease and the health of what it stands on.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use greenroom_contract::port::operator::{ComponentHealth, HealthStatus};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::lease::LEASE;
use crate::{ports::Ports, service::service, supervisor::ChildSpec};

/// How often the lease is renewed.
const EVERY: Duration = Duration::from_secs(1);
/// How often the bus is asked how it is: it costs a write, and nothing depends on hearing of it within the second.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// How often it is asked while it says that it is down: a node takes nothing in until it has heard otherwise, and a node that
/// starts always finds it not connected yet.
const PROBE_AGAIN: Duration = Duration::from_millis(250);
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
                        let begun = Instant::now();
                        let beat = async { ports.state.heartbeat(&ports.node, LEASE).await.map_err(|e| e.to_string()) };
                        let news = within(PROBE, beat).await;
                        if news.is_none() {
                            ports.lease.renewed(begun);
                        }
                        note("store", &vitals.state, news);
                    }
                    _ = probe.tick() => {
                        let begun = Instant::now();
                        let bus = async { ports.bus.health().await.map_err(|e| e.to_string()) };
                        let news = within(BUS_PROBE, bus).await;
                        probe.reset_after(next_probe(news.is_some(), begun.elapsed()));
                        note("bus", &vitals.bus, news);
                    }
                }
            }
        }
    })
}

/// How long after a look at the bus the next one follows, by what it told and how long that took. One that is silent is not
/// asked more often: the lease would be renewed too seldom.
fn next_probe(is_down: bool, took: Duration) -> Duration {
    if is_down && took < PROBE_AGAIN { PROBE_AGAIN } else { PROBE_EVERY }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bus_that_says_that_it_is_down_is_asked_again_at_once_and_a_silent_one_is_not() {
        assert_eq!(next_probe(true, Duration::from_millis(1)), PROBE_AGAIN);
        assert_eq!(next_probe(true, BUS_PROBE), PROBE_EVERY);
        assert_eq!(next_probe(false, Duration::from_millis(1)), PROBE_EVERY);
    }
}
