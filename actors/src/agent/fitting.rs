//! Fitting out: model, tools and queue of a version, made ready beside whatever runs meanwhile.

use std::sync::Arc;

use greenroom_config::load::Definition;
use greenroom_contract::{
    execution::Failure,
    port::bus::{QueueSpec, Sharing},
    task,
};
use ractor::ActorRef;

use super::message::Message;
use crate::{
    execution::{Behaviour, Kit, persist},
    ports::Ports,
};

/// Starts a fitting; its outcome comes back as [`Message::Fitted`].
pub(super) fn fit(
    ports: Arc<Ports>,
    definition: Arc<Definition>,
    behaviour: Arc<dyn Behaviour>,
    fitting: u32,
    agent: ActorRef<Message>,
) {
    let attempt = task::spawn("fitting", {
        let (ports, definition) = (Arc::clone(&ports), Arc::clone(&definition));
        async move { fitted(&ports, &definition, behaviour).await }
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

async fn fitted(ports: &Ports, definition: &Definition, behaviour: Arc<dyn Behaviour>) -> Result<Kit, Failure> {
    let spec = Arc::clone(&definition.spec);
    let outfit = ports.outfitter.outfit(Arc::clone(&spec)).await?;
    let kit = Kit { spec: Arc::clone(&spec), version: definition.version.clone(), outfit, behaviour };
    let kept = serde_json::to_value(&*spec).map_err(|error| Failure::new("definition", error.to_string()))?;
    persist("version", || ports.state.save_version(&spec.name, &kit.version, kept.clone()))
        .await
        .map_err(|error| Failure::new("store", error.to_string()))?;
    let queue = QueueSpec {
        name: spec.name.input_topic(),
        bindings: spec.subscriptions.clone(),
        sharing: if spec.ordered() { Sharing::SingleActive } else { Sharing::Competing },
    };
    ports.bus.declare(queue).await.map_err(|error| Failure::new("bus", error.to_string()))?;
    Ok(kit)
}
