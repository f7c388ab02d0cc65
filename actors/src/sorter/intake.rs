//! One delivery from a queue that is not one agent's alone, into the inbox.

use std::time::Duration;

use greenroom_config::AgentSpec;
use greenroom_contract::{
    AgentId,
    execution::Failure,
    port::{
        bus::Delivery,
        state::{Accepted, Arrival, Error},
    },
};
use tracing::Instrument;

use super::plan::{Taker, addressee};
use crate::{orchestrator::Orchestrator, ports::Ports};

/// The wait after a failure of the store.
const WAIT: Duration = Duration::from_secs(1);
/// How long an event for an agent that nobody here has heard of is held before it is tried again, here or elsewhere: its
/// file may have reached another node first. With the bus's delivery limit it becomes a dead letter after about 25 s.
const UNKNOWN: Duration = Duration::from_secs(5);

/// What is left to do with a delivery.
pub(super) enum Intake {
    /// Nothing.
    Done,
    /// It is for an agent that is not known.
    Unknown(Box<Delivery>, AgentId),
}

/// Takes a delivery in for everybody whom it is for, then acknowledges it. `here` says that the queue leads here: its
/// agents' work is this node's.
pub(super) async fn take_in(ports: &Ports, orchestrator: &Orchestrator, delivery: Delivery, here: bool) -> Intake {
    let event = &delivery.event;
    let mut takers = ports.sorting.plan().takers(&delivery.queue, &event.event_type);
    if takers.is_empty() {
        let named = addressee(&event.event_type).or_else(|| addressee(&delivery.queue));
        match named {
            Some(agent) => match last_version(ports, &agent).await {
                Ok(Some(version)) => takers.push(Taker { agent, version }),
                Ok(None) => return Intake::Unknown(Box::new(delivery), agent),
                Err(error) => return later(delivery, &error).await,
            },
            None => tracing::debug!(queue = delivery.queue, topic = event.event_type, "Nobody listens any more."),
        }
    }
    for taker in takers {
        let span = tracing::info_span!(
            "inbox", trace_id = %event.trace_id, agent = %taker.agent, event_id = %event.event_id
        );
        let arrival = Arrival { agent: taker.agent.clone(), version: taker.version, event: event.clone(), claim: None };
        match ports.state.accept(arrival).instrument(span.clone()).await {
            Ok(Accepted::Duplicate(execution)) => {
                span.in_scope(|| tracing::info!(execution_id = %execution, "An event that came before is dropped."));
            }
            Ok(Accepted::Queued(execution)) => {
                span.in_scope(
                    || tracing::info!(execution_id = %execution, topic = event.event_type, "Event taken in."),
                );
                orchestrator.arrived(&taker.agent, here);
            }
            // Nothing was claimed.
            Ok(Accepted::Claimed(_)) => {}
            Err(error @ Error::Unavailable { .. }) => return later(delivery, &error).await,
            Err(error) => {
                // It is this event's own trouble, and must not be its neighbours'.
                tracing::warn!(agent = %taker.agent, %error, "An event cannot be taken in; it goes behind what waits.");
                settled(delivery.reject(Failure::new("inbox", error.to_string())).await);
                return Intake::Done;
            }
        }
    }
    // Not acknowledged, it comes again and is dropped as a duplicate.
    settled(delivery.accept().await);
    Intake::Done
}

/// Holds an event for an agent that is not known, and puts it back.
pub(super) async fn put_back(delivery: Box<Delivery>, agent: AgentId) {
    tracing::warn!(%agent, queue = delivery.queue, "An event is for an agent that is not known here; tried again.");
    tokio::time::sleep(UNKNOWN).await;
    let reason = Failure::new("unknown_agent", format!("no agent {agent} is known to the node that took it"));
    settled(delivery.reject(reason).await);
}

/// The version that ran last, of an agent that this node's folder does not have: its events wait in the inbox for the nodes
/// that do.
async fn last_version(ports: &Ports, agent: &AgentId) -> Result<Option<String>, Error> {
    let versions = ports.state.versions(agent).await?;
    let newest = versions.into_iter().next().and_then(|spec| serde_json::from_value::<AgentSpec>(spec).ok());
    Ok(newest.map(|spec| spec.version()))
}

async fn later(delivery: Delivery, error: &Error) -> Intake {
    // Dropping the delivery gives it back; the wait keeps it from spinning.
    tracing::warn!(queue = delivery.queue, %error, "An event cannot be taken in; it stays in its queue.");
    drop(delivery);
    tokio::time::sleep(WAIT).await;
    Intake::Done
}

fn settled(done: Result<(), greenroom_contract::port::bus::Error>) {
    if let Err(error) = done {
        tracing::warn!(%error, "A delivery could not be settled; it comes again.");
    }
}
