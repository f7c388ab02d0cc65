//! From the bus's dead-letter queue into the store.

use std::{sync::Arc, time::Duration};

use greenroom_contract::{
    AgentId, Event,
    execution::Failure,
    port::{
        bus::{DeadDelivery, SCHEDULED_TASKS},
        state::NewDeadLetter,
    },
};

use crate::{execution::persist, ports::Ports, service::service, supervisor::ChildSpec};

/// Letters in hand at a time.
const PREFETCH: usize = 16;
/// The wait before the queue is consumed again after its subscription ended.
const AGAIN: Duration = Duration::from_secs(1);

/// The collector as a service of the node.
pub fn dead_letters(ports: Arc<Ports>) -> ChildSpec {
    service("dead-letters", move |stop| {
        let ports = Arc::clone(&ports);
        async move {
            loop {
                // A broker that is slow to answer must not hold up the node's end.
                let mut dead = match stop.run_until_cancelled(ports.bus.consume_dead(PREFETCH)).await {
                    Some(Ok(dead)) => dead,
                    Some(Err(error)) => return Err(Failure::new("bus", error.to_string())),
                    None => return Ok(()),
                };
                loop {
                    tokio::select! {
                        () = stop.cancelled() => return Ok(()),
                        delivery = dead.next() => match delivery {
                            Some(delivery) => keep(&ports, delivery).await,
                            None => break,
                        },
                    }
                }
                stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await;
            }
        }
    })
}

/// The agent that it was meant for, if that is known: its queue is the agent's, or what a schedule wants done names it.
fn meant(delivery: &DeadDelivery) -> Option<AgentId> {
    if delivery.death.queue == SCHEDULED_TASKS {
        let event = Event::from_bytes(&delivery.body).ok()?;
        return event.payload["agent_id"].as_str()?.parse().ok();
    }
    delivery.death.queue.strip_prefix("agent.input.")?.parse().ok()
}

/// Writes a letter down, then takes it off the queue. In this order: a crash between leaves it to be written again,
/// which the store recognises.
async fn keep(ports: &Ports, delivery: DeadDelivery) {
    let death = &delivery.death;
    let trace_id = Event::from_bytes(&delivery.body).ok().map(|event| event.trace_id.to_string());
    tracing::warn!(trace_id, queue = death.queue, error = %death.reason, attempts = death.attempts, "A message died on the bus.");
    let letter = NewDeadLetter {
        agent: meant(&delivery),
        queue: death.queue.clone(),
        body: delivery.body.clone(),
        reason: death.reason.clone(),
        attempts: death.attempts,
        first_at: death.first_at,
        node: ports.node.clone(),
    };
    match persist("dead letter", || ports.state.record_dead(letter.clone())).await {
        Ok(_) => {
            if let Err(error) = delivery.accept().await {
                tracing::warn!(%error, "A dead letter was kept and could not be taken off its queue.");
            }
        }
        Err(error) => tracing::error!(%error, "A dead letter could not be kept; it stays in its queue."),
    }
}
