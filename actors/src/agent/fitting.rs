//! Fitting out: model, tools and queue of a version, made ready beside whatever runs meanwhile.

use std::{sync::Arc, time::Duration};

use greenroom_config::{AgentSpec, load::Definition};
use greenroom_contract::{
    execution::Failure,
    port::bus::{self, QueueSpec, Sharing},
    task,
};
use ractor::ActorRef;
use tokio::time::Instant;

use super::message::Message;
use crate::{
    execution::{Behaviour, Kit, persist},
    ports::Ports,
};

/// How long a bus that is not there is waited for; then the agent is unavailable for that reason, and tried again.
const PATIENCE: Duration = Duration::from_secs(60);
/// The wait between two tries, at first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Starts a fitting; its outcome comes back as [`Message::Fitted`]. `first` says that nothing of the agent runs yet.
pub(super) fn fit(
    ports: Arc<Ports>,
    definition: Arc<Definition>,
    behaviour: Arc<dyn Behaviour>,
    fitting: u32,
    first: bool,
    agent: ActorRef<Message>,
) {
    let attempt = task::spawn("fitting", {
        let (ports, definition) = (Arc::clone(&ports), Arc::clone(&definition));
        async move { fitted(&ports, &definition, behaviour, first).await }
    });
    task::spawn("fitting-watcher", async move {
        let result = match attempt.await {
            Ok(result) => result.map(Arc::new),
            Err(error) => Err(Failure::new(crate::fault::PANICKED, crate::fault::panic_message(error))),
        };
        // The agent may have been removed meanwhile.
        drop(agent.send_message(Message::Fitted { fitting, definition, result }));
    });
}

/// Declares the agent's queue, or waits until the sorter has declared the one that it shares. A bus that is not connected yet is waited for: it connects in the background when a node
/// starts, and to be unavailable for that would cost the agent a quarter of a minute.
async fn declare(ports: &Ports, spec: &AgentSpec) -> Result<(), Failure> {
    let began = Instant::now();
    let mut wait = FIRST_WAIT;
    loop {
        if ports.sorting.shares(&spec.name) {
            let bound = ports.sorting.is_done_within(PATIENCE).await;
            let late = || Failure::new("bus", "the queue that it shares with others could not be declared");
            return if bound { Ok(()) } else { Err(late()) };
        }
        match ports.bus.declare(queue_of(spec)).await {
            Err(bus::Error::Unavailable { .. }) if began.elapsed() < PATIENCE => {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            done => return done.map_err(|error| Failure::new("bus", error.to_string())),
        }
    }
}

/// An agent's queue: the same whoever declares it.
pub(crate) fn queue_of(spec: &AgentSpec) -> QueueSpec {
    QueueSpec {
        name: spec.name.input_topic(),
        bindings: spec.subscriptions.clone(),
        sharing: if spec.ordered() { Sharing::SingleActive } else { Sharing::Competing },
    }
}

async fn fitted(
    ports: &Ports,
    definition: &Definition,
    behaviour: Arc<dyn Behaviour>,
    first: bool,
) -> Result<Kit, Failure> {
    let spec = Arc::clone(&definition.spec);
    if first {
        // Work may come before the agent can do it, and an agent whose model or tools are away may be long in coming: its
        // queue keeps what is sent to it. A changed version takes over with its bindings, so these come last.
        declare(ports, &spec).await?;
    }
    let outfit = ports.outfitter.outfit(Arc::clone(&spec)).await?;
    let kit = Kit { spec: Arc::clone(&spec), version: definition.version.clone(), outfit, behaviour };
    let kept = serde_json::to_value(&*spec).map_err(|error| Failure::new("definition", error.to_string()))?;
    persist("version", || ports.state.save_version(&spec.name, &kit.version, kept.clone()))
        .await
        .map_err(|error| Failure::new("store", error.to_string()))?;
    if !first {
        declare(ports, &spec).await?;
    }
    Ok(kit)
}
