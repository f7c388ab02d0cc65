//! The orchestrator's duty: every agent's queue is there before any node runs the agent, so that events wait durably, and
//! nothing leads to it any more that its file has dropped.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use greenroom_contract::{AgentId, TopicPattern, port::bus::QueueSpec};
use serde_json::Value;

use crate::{orchestrator::Orchestrator, ports::Ports, service::service, supervisor::ChildSpec};

/// The wait after a failure.
const AGAIN: Duration = Duration::from_secs(1);
/// How long the bus may take for one queue, and the store for what was before.
const DECLARE: Duration = Duration::from_secs(15);

/// The duty as a service of the node. It declares all queues at start, after each change of the folder, and after each
/// reconnect of the bus.
pub fn topology(ports: Arc<Ports>, orchestrator: Orchestrator) -> ChildSpec {
    service("topology", move |stop| {
        let (ports, orchestrator) = (Arc::clone(&ports), orchestrator.clone());
        async move {
            let mut reconnects = ports.bus.reconnects();
            let mut tidy = BTreeSet::new();
            while !stop.is_cancelled() {
                let done = declare_all(&ports, &orchestrator, &mut tidy).await;
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = orchestrator.folder_changed() => {}
                    () = crate::relay::reconnected(&mut reconnects) => {}
                    () = tokio::time::sleep(AGAIN), if !done => {}
                }
            }
            Ok(())
        }
    })
}

/// `tidy` are the queues from which nothing has to be taken away any more: what is dropped while this node lives, the bus
/// itself takes away.
async fn declare_all(ports: &Ports, orchestrator: &Orchestrator, tidy: &mut BTreeSet<String>) -> bool {
    for queue in orchestrator.queues() {
        let name = queue.name.clone();
        let declare = async {
            ports.bus.declare(queue.clone()).await.map_err(|error| error.to_string())?;
            if !tidy.contains(&name) {
                take_away(ports, &queue).await?;
            }
            Ok::<(), String>(())
        };
        match tokio::time::timeout(DECLARE, declare).await {
            Ok(Ok(())) => {
                tidy.insert(name);
            }
            Ok(Err(error)) => {
                tracing::warn!(queue = name, error, "A queue cannot be declared ahead; tried again.");
                return false;
            }
            Err(_) => {
                tracing::warn!(queue = name, "A queue was not declared in time; tried again.");
                return false;
            }
        }
    }
    true
}

/// Takes away what earlier versions of an agent subscribed to and the present one does not: its file may have changed while no
/// node was up to notice.
async fn take_away(ports: &Ports, queue: &QueueSpec) -> Result<(), String> {
    let agent = queue.name.strip_prefix("agent.input.").and_then(|name| name.parse::<AgentId>().ok());
    let Some(agent) = agent else { return Ok(()) };
    let versions = ports.state.versions(&agent).await.map_err(|error| error.to_string())?;
    let stale = dropped(&versions, &queue.bindings);
    if stale.is_empty() {
        return Ok(());
    }
    let topics: Vec<&str> = stale.iter().map(TopicPattern::as_str).collect();
    tracing::info!(queue = queue.name, topics = ?topics, "Subscriptions that the agent's file has dropped lead to its queue no more.");
    ports.bus.unbind(&queue.name, stale).await.map_err(|error| error.to_string())
}

fn dropped(versions: &[Value], wanted: &[TopicPattern]) -> Vec<TopicPattern> {
    let topics = versions.iter().filter_map(|spec| spec["subscriptions"].as_array()).flatten();
    // A topic that this version does not understand was bound by none that could be here.
    let topics = topics.filter_map(|topic| topic.as_str()?.parse::<TopicPattern>().ok());
    topics.filter(|topic| !wanted.contains(topic)).collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_any_earlier_version_had_and_this_one_has_not_is_dropped() {
        let topic = |text: &str| text.parse::<TopicPattern>().unwrap();
        let versions = [
            json!({ "subscriptions": ["orders.*", "bills.paid"] }),
            json!({ "subscriptions": ["orders.*", "parcels.#", "parcels.#", 7, "not..a topic"] }),
            json!({ "name": "it had none" }),
        ];
        assert_eq!(dropped(&versions, &[topic("orders.*")]), [topic("bills.paid"), topic("parcels.#")]);
        assert!(dropped(&versions[..1], &[topic("bills.paid"), topic("orders.*")]).is_empty());
    }
}
