//! The orchestrator's duty: every agent's queue is there before any node runs the agent, so that events wait durably, and
//! nothing leads to it any more that its file has dropped.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use greenroom_config::AgentSpec;
use greenroom_contract::{AgentId, TopicPattern, port::bus::QueueSpec};
use serde_json::Value;

use crate::{
    agent::queue_of,
    orchestrator::Orchestrator,
    ports::Ports,
    service::service,
    sorter::{declare_shared, shard_of},
    supervisor::ChildSpec,
};

/// The wait after a failure.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a version that others run, or that ran last, is given to go.
const OTHERS: Duration = Duration::from_secs(60);
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
            // A broker that is slow to answer must not hold up the node's end.
            while let Some(again) = stop.run_until_cancelled(declare_all(&ports, &orchestrator, &mut tidy)).await {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = orchestrator.folder_changed() => {}
                    () = crate::relay::reconnected(&mut reconnects) => {}
                    () = tokio::time::sleep(again.unwrap_or_default()), if again.is_some() => {}
                }
            }
            Ok(())
        }
    })
}

/// `tidy` are the agents from whose queues nothing has to be taken away any more: what is dropped while this node lives, the bus
/// itself takes away. Returns when to do it again, if that is not for the next change to say.
async fn declare_all(ports: &Ports, orchestrator: &Orchestrator, tidy: &mut BTreeSet<AgentId>) -> Option<Duration> {
    let mut again = None;
    let queues = ports.sorting.plan().shared_queues();
    let topics = |queue: &QueueSpec| (queue.name.clone(), queue.bindings.iter().cloned().collect::<BTreeSet<_>>());
    let shared: BTreeMap<_, _> = queues.iter().map(topics).collect();
    if !declare_shared(ports, queues).await {
        return Some(AGAIN);
    }
    for spec in orchestrator.wanted() {
        // An agent's own queue, or the one that it shares: then what leads to it is said above.
        let own = shared.is_empty();
        let name = if own { spec.name.input_topic() } else { shard_of(&spec) };
        let by_others = shared.get(&name).cloned().unwrap_or_default();
        let declare = async {
            if own {
                ports.bus.declare(queue_of(&spec)).await.map_err(|error| error.to_string())?;
            }
            if tidy.contains(&spec.name) { Ok(true) } else { take_away(ports, &spec, &name, &by_others).await }
        };
        match tokio::time::timeout(DECLARE, declare).await {
            Ok(Ok(true)) => {
                tidy.insert(spec.name.clone());
            }
            Ok(Ok(false)) => again = Some(OTHERS),
            Ok(Err(error)) => {
                tracing::warn!(queue = name, error, "A queue cannot be declared ahead; tried again.");
                return Some(AGAIN);
            }
            Err(_) => {
                tracing::warn!(queue = name, "A queue was not declared in time; tried again.");
                return Some(AGAIN);
            }
        }
    }
    again
}

/// Takes away what earlier versions of an agent subscribed to and the present one does not: its file may have changed while no
/// node was up to notice. Returns whether that is all: what only a later version has subscribed to is left alone, because
/// the node that runs it may be up, and this one be the last of those with the old file. Of a queue that it shares, what others
/// listen to is not taken away.
async fn take_away(
    ports: &Ports,
    spec: &AgentSpec,
    queue: &str,
    by_others: &BTreeSet<TopicPattern>,
) -> Result<bool, String> {
    let present = serde_json::to_value(spec).map_err(|error| error.to_string())?;
    let versions = ports.state.versions(&spec.name).await.map_err(|error| error.to_string())?;
    let (later, earlier) = split(&versions, &present);
    let later = dropped(later, &spec.subscriptions);
    let mut stale = dropped(earlier, &spec.subscriptions);
    stale.retain(|topic| !later.contains(topic) && !by_others.contains(topic));
    if !stale.is_empty() {
        let topics: Vec<&str> = stale.iter().map(TopicPattern::as_str).collect();
        tracing::info!(queue, topics = ?topics, "Subscriptions that the agent's file has dropped lead to its queue no more.");
        ports.bus.unbind(queue, stale).await.map_err(|error| error.to_string())?;
    }
    Ok(later.is_empty())
}

/// The versions later than the present one, and those earlier, of all with the newest first. One that is not among them
/// has yet to be run, and is the latest.
fn split<'a>(versions: &'a [Value], present: &Value) -> (&'a [Value], &'a [Value]) {
    versions.split_at(versions.iter().position(|version| version == present).unwrap_or(0))
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
    #[test]
    fn what_a_later_version_has_is_not_earlier() {
        let versions = [json!(3), json!(2), json!(1)];
        assert_eq!(split(&versions, &json!(2)), (&versions[..1], &versions[1..]));
        assert_eq!(split(&versions, &json!(3)), (&versions[..0], &versions[..]));
        assert_eq!(split(&versions, &json!(4)), (&versions[..0], &versions[..]), "it has yet to be run");
    }
}
