//! The relay's loop.

use std::{sync::Arc, time::Duration};

use greenroom_contract::{
    execution::Failure,
    port::{
        bus::{self, Publication},
        state::{OutboxId, OutboxOutcome, OutboxRow, Outgoing, Wanted},
    },
};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{step::after_publish, windows::Windows};
use crate::{execution::persist, ports::Ports, service::service, supervisor::ChildSpec};

/// Rows in one go: a confirm window.
pub(super) const WINDOW: u32 = 100;
/// How often the outbox is looked at without a reason to: retries become due by time.
const LOOK_ANYWAY: Duration = Duration::from_millis(500);
/// How long the bus may take to confirm a batch; then it counts as unavailable and the rows are tried again.
const CONFIRM: Duration = Duration::from_secs(30);
/// How long what is due is still sent once the node stops; the rest goes out at its next start.
pub(super) const LAST_ROUNDS: Duration = Duration::from_secs(2);

/// The relay as a service of the node.
pub fn relay(ports: Arc<Ports>) -> ChildSpec {
    service("relay", move |stop| {
        let ports = Arc::clone(&ports);
        async move { run(&ports, stop).await }
    })
}

async fn run(ports: &Ports, stop: CancellationToken) -> Result<(), Failure> {
    let again = persist("redrive", || ports.state.redrive_outbox()).await.map_err(failed)?;
    if again > 0 {
        tracing::info!(rows = again, "Events that had reached no inbox are published again.");
    }
    let mut reconnects = ports.bus.reconnects();
    let mut windows = Windows::new(ports);
    let (mut look, mut told_at) = (true, None);
    // What was handed over and is younger than what the store still has that is due.
    let mut younger: Vec<OutboxRow> = Vec::new();
    let mut look_anyway = Instant::now() + LOOK_ANYWAY;
    loop {
        if stop.is_cancelled() && told_at.get_or_insert_with(Instant::now).elapsed() > LAST_ROUNDS {
            return windows.land().await;
        }
        if reconnects.has_changed().unwrap_or(false) {
            reconnects.mark_unchanged();
            // What the old connection confirmed is marked as published first, or it would be passed over.
            windows.land().await?;
            let again = persist("redrive", || ports.state.redrive_outbox()).await.map_err(failed)?;
            tracing::info!(
                rows = again,
                "The bus is connected again: events not known to have arrived are published again."
            );
            look = true;
        }
        look |= ports.outbox.is_rung() || stop.is_cancelled() || !younger.is_empty();
        if !look {
            windows.send(ports.outbox.take()).await?;
        } else {
            windows.forget_settled();
            let claim = persist("outbox", || {
                ports.state.claim_outbox(&ports.node, Wanted::Events(WINDOW), ports.lease.judges_others())
            });
            let rows = windows.beside(claim).await?.map_err(failed)?;
            look_anyway = Instant::now() + LOOK_ANYWAY;
            // What was handed over goes between what the store gave, by its age.
            let newest = rows.last().filter(|_| rows.len() == WINDOW as usize).map(|row| row.id);
            if younger.is_empty() {
                younger = ports.outbox.take();
            }
            let (handed, still) = younger.into_iter().partition(|row| newest.is_none_or(|newest| row.id < newest));
            younger = still;
            // A store that was away for longer than rows are leased hands out again what is in hand here: to ask at once for
            // more of it would be a loop without a pause.
            look = windows.send_with(rows, handed).await?;
            if look {
                continue;
            }
            if told_at.is_some() {
                return windows.land().await;
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = ports.outbox.news() => {}
            () = reconnected(&mut reconnects) => {
                // Taken up at the top.
                reconnects.mark_changed();
            }
            let_by = windows.next() => look = let_by?,
            () = tokio::time::sleep_until(look_anyway) => look = true,
        }
    }
}

/// Resolves when the bus has lost its connection and has it again; never, for a bus that has none to lose.
pub(crate) async fn reconnected(reconnects: &mut watch::Receiver<u64>) {
    if reconnects.changed().await.is_err() {
        std::future::pending().await
    }
}

/// Publishes what is due.
pub(super) async fn publish(ports: &Ports, rows: Vec<OutboxRow>) -> Vec<(OutboxId, OutboxOutcome)> {
    let event = |row: OutboxRow| match row.outgoing {
        Outgoing::Event { event, mandatory } => Some((row.id, row.attempts, Publication { event, mandatory })),
        Outgoing::Reply { .. } => None,
    };
    let events: Vec<_> = rows.into_iter().filter_map(event).collect();
    if events.is_empty() {
        return Vec::new();
    }
    let batch: Vec<Publication> = events.iter().map(|(_, _, publication)| publication.clone()).collect();
    let results = match tokio::time::timeout(CONFIRM, ports.bus.publish(batch)).await {
        Ok(results) => results,
        Err(_) => {
            let silent = bus::Error::Unavailable { reason: format!("no confirmation within {CONFIRM:?}") };
            vec![Err(silent); events.len()]
        }
    };
    let mut outcomes = Vec::with_capacity(events.len());
    for ((id, attempts, publication), result) in events.into_iter().zip(results) {
        let event = publication.event;
        let outcome = match result {
            Ok(_) => {
                tracing::info!(trace_id = %event.trace_id, event_id = %event.event_id, topic = event.event_type, "Event published.");
                OutboxOutcome::Published
            }
            Err(error) => {
                tracing::warn!(
                    trace_id = %event.trace_id, event_id = %event.event_id, topic = event.event_type, %error,
                    "Event not published; tried again."
                );
                after_publish(attempts, &error, greenroom_contract::jitter())
            }
        };
        outcomes.push((id, outcome));
    }
    outcomes
}

pub(super) fn failed(error: greenroom_contract::port::state::Error) -> Failure {
    Failure::new("store", error.to_string())
}
