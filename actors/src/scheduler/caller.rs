//! The caller: takes what schedules want done from `scheduled.tasks`, and has it invoked.
//!
//! It knows no definitions: the command is durable in the outbox, and waits there for its agent's queue, wherever that agent
//! runs. A delivery that comes twice is the same command, which the store knows.

use std::time::Duration;

use futures::{StreamExt, stream::FuturesUnordered};
use greenroom_contract::{
    execution::Failure,
    port::{
        bus::{self, Delivery, QueueSpec, SCHEDULED_TASKS, Sharing, Subscription},
        state::Error,
    },
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::event::command;
use crate::{orchestrator::Orchestrator, ports::Ports, service::service, supervisor::ChildSpec};

/// Deliveries in hand at a time: as many agents may be due in one second.
const PREFETCH: usize = 64;
/// The wait after a failure.
const AGAIN: Duration = Duration::from_secs(1);
/// How long the bus may take to make the queue ready, and the store to take a command in.
const DECLARE: Duration = Duration::from_secs(15);
const SUBMIT: Duration = Duration::from_secs(10);

/// The caller as a service of the node.
pub fn caller(ports: std::sync::Arc<Ports>, orchestrator: Orchestrator) -> ChildSpec {
    service("caller", move |stop| {
        let (ports, orchestrator) = (std::sync::Arc::clone(&ports), orchestrator.clone());
        async move {
            // A broker that is slow to answer must not hold up the node's end.
            while let Some(opened) = stop.run_until_cancelled(open(&ports)).await {
                match opened {
                    Ok(subscription) => serve(&orchestrator, subscription, &stop).await,
                    Err(error) => {
                        tracing::warn!(queue = SCHEDULED_TASKS, %error, "What schedules want done cannot be heard; tried again.");
                    }
                }
                // Being stopped ends the wait.
                drop(tokio::time::timeout(AGAIN, stop.cancelled()).await);
            }
            Ok(())
        }
    })
}

async fn open(ports: &Ports) -> Result<Subscription<Delivery>, bus::Error> {
    let queue = QueueSpec { name: SCHEDULED_TASKS.to_owned(), bindings: Vec::new(), sharing: Sharing::Competing };
    let opened = async {
        ports.bus.declare(queue).await?;
        ports.bus.consume(SCHEDULED_TASKS, PREFETCH).await
    };
    let silent = |_| Err(bus::Error::Unavailable { reason: format!("no answer within {DECLARE:?}") });
    tokio::time::timeout(DECLARE, opened).await.unwrap_or_else(silent)
}

/// Until the subscription ends or the node stops. What is in hand is finished.
async fn serve(orchestrator: &Orchestrator, mut tasks: Subscription<Delivery>, stop: &CancellationToken) {
    let mut calls = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(()) = calls.next(), if !calls.is_empty() => {}
            task = tasks.next(), if calls.len() < PREFETCH => match task {
                Some(task) => calls.push(call(orchestrator, task)),
                None => break,
            },
        }
    }
    while calls.next().await.is_some() {}
}

async fn call(orchestrator: &Orchestrator, task: Delivery) {
    let Some((agent, command)) = command(&task.event) else {
        tracing::error!(trace_id = %task.event.trace_id, "A scheduled task names no agent and becomes a dead letter.");
        settled(task.dead(Failure::new("no_agent", "it names no agent in `agent_id`")).await);
        return;
    };
    let span = tracing::info_span!("call", trace_id = %command.trace_id, %agent);
    async {
        let scheduled_at = command.payload["scheduled_at"].as_str().unwrap_or_default().to_owned();
        let silent = |_| Err(Error::Unavailable { reason: format!("no answer within {SUBMIT:?}") });
        let taken = tokio::time::timeout(SUBMIT, orchestrator.pass_on(command, agent.clone())).await;
        match taken.unwrap_or_else(silent) {
            Ok(submitted) => {
                tracing::info!(scheduled_at, repeated = submitted.repeated, "Scheduled work is handed to its agent.");
                settled(task.accept().await);
            }
            Err(error @ Error::Conflict { .. }) => {
                tracing::info!(scheduled_at, %error, "Scheduled work that was done before is dropped.");
                settled(task.accept().await);
            }
            Err(error) => {
                // Dropping the delivery gives it back; the wait keeps it from spinning.
                tracing::warn!(%error, "Scheduled work cannot be handed on; it stays in its queue.");
                drop(task);
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
    .instrument(span)
    .await;
}

fn settled(done: Result<(), bus::Error>) {
    if let Err(error) = done {
        // It will come again, and be known.
        tracing::warn!(%error, "A scheduled task could not be acknowledged.");
    }
}
