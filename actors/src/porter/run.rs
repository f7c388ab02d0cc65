//! The service's loop, and a post: what the porter does at one sleeper's queue. There may be ten thousand posts: what one
//! does now and then is boxed, so that it has room for waiting only.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::{
    StreamExt,
    future::{AbortHandle, Abortable},
    stream::FuturesUnordered,
};
use greenroom_contract::{
    AgentId,
    port::{
        bus::{Delivery, Subscription},
        state::{Accepted, Arrival},
    },
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::dormitory::News;
use crate::{agent::AgentHandle, ports::Ports, service::service, supervisor::ChildSpec};

/// The wait after a failure of bus or store.
const WAIT: Duration = Duration::from_secs(1);

/// The porter as a service of the node. It goes home when `closing` is cancelled: a node that stops takes nothing in.
pub fn porter(ports: Arc<Ports>, closing: CancellationToken) -> ChildSpec {
    service("porter", move |stop| {
        let (ports, closing) = (Arc::clone(&ports), closing.clone());
        async move {
            tokio::select! {
                () = stand(&ports) => {}
                () = closing.cancelled() => stop.cancelled().await,
                () = stop.cancelled() => {}
            }
            Ok(())
        }
    })
}

/// Stands at every queue for ever. Ended at any moment it loses nothing: what it holds goes back to its queue, or comes
/// again and is dropped as a duplicate, and its next life reads anew who sleeps.
async fn stand(ports: &Arc<Ports>) {
    let mut posts = FuturesUnordered::new();
    let mut ends: HashMap<AgentId, AbortHandle> = HashMap::new();
    let mut news = ports.dormitory.everybody();
    loop {
        for News { agent, sleeper } in news.drain(..) {
            // Left at once: where one consumer has all, it would be in the way of the agent's own.
            if let Some(post) = ends.remove(&agent) {
                post.abort();
            }
            if let Some(sleeper) = sleeper {
                let (end, ended) = AbortHandle::new_pair();
                posts.push(Abortable::new(post(Arc::clone(ports), sleeper), ended));
                ends.insert(agent, end);
            }
        }
        tokio::select! {
            changed = ports.dormitory.news() => news = changed,
            // It rings once. Whoever was called leaves the dormitory when it is up.
            Some(_) = posts.next(), if !posts.is_empty() => {}
        }
    }
}

/// Stands at one queue until there is something, takes it into the inbox, and calls. Where the agent shares its queue, the
/// sorter does both, and nobody stands here.
async fn post(ports: Arc<Ports>, sleeper: AgentHandle) {
    let name = sleeper.name();
    loop {
        let shares = ports.sorting.shares(&name);
        tokio::select! {
            () = ports.sorting.turned(&name, shares) => {}
            () = watch(&ports, &sleeper), if !shares => return,
        }
    }
}

/// Until it has called. Ended at any moment it loses nothing.
async fn watch(ports: &Ports, sleeper: &AgentHandle) {
    loop {
        if let Some(mut subscription) = Box::pin(begin(ports, sleeper)).await {
            while let Some(delivery) = subscription.next().await {
                if Box::pin(take_in(ports, sleeper, delivery)).await {
                    // The next one is the agent's own.
                    drop(subscription);
                    sleeper.rouse();
                    return;
                }
            }
        }
        Box::pin(tokio::time::sleep(WAIT)).await;
    }
}

async fn begin(ports: &Ports, sleeper: &AgentHandle) -> Option<Subscription<Delivery>> {
    let queue = sleeper.name().input_topic();
    match ports.bus.consume(&queue, 1).await {
        Ok(subscription) => Some(subscription),
        Err(error) => {
            tracing::warn!(queue, %error, "The queue of a sleeping agent cannot be watched; tried again.");
            None
        }
    }
}

/// Takes a delivery into the inbox, unclaimed. Returns whether there is something new.
async fn take_in(ports: &Ports, sleeper: &AgentHandle, delivery: Delivery) -> bool {
    sleeper.here().served(&*ports.bus);
    let definition = sleeper.definition();
    let agent = definition.spec.name.clone();
    let span = tracing::info_span!(
        "inbox", trace_id = %delivery.event.trace_id, agent = %agent, event_id = %delivery.event.event_id
    );
    let arrival = Arrival { agent, version: definition.version.clone(), event: delivery.event.clone(), claim: None };
    async {
        let accepted = match ports.state.accept(arrival).await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "An event for a sleeping agent cannot be taken in; it stays in its queue.");
                drop(delivery);
                tokio::time::sleep(WAIT).await;
                return false;
            }
        };
        if let Err(error) = delivery.accept().await {
            // It will come again and be dropped as a duplicate.
            tracing::warn!(%error, "A delivery could not be acknowledged.");
        }
        !matches!(accepted, Accepted::Duplicate(_))
    }
    .instrument(span)
    .await
}
