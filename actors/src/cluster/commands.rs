//! Commands to other nodes, with their acknowledgements.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use greenroom_contract::{NodeId, TraceId, port::bus};
use tokio::sync::oneshot;

use super::{
    table::Cluster,
    words::{COMMAND, Order, Verb, pack},
};

/// How long other nodes get to say that it is done.
pub(crate) const ANSWER: Duration = Duration::from_secs(3);
/// How long a broadcast may take; then the bus counts as away.
const SAY: Duration = Duration::from_secs(2);

/// Commands that are under way.
#[derive(Default)]
pub(super) struct Asks(Mutex<BTreeMap<String, Ask>>);

struct Ask {
    left: BTreeSet<NodeId>,
    done: Option<oneshot::Sender<()>>,
}

impl Asks {
    fn open(&self) -> MutexGuard<'_, BTreeMap<String, Ask>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node says that it has done it.
    pub(super) fn done(&self, id: &str, node: &NodeId) {
        let mut open = self.open();
        let Some(ask) = open.get_mut(id) else { return };
        ask.left.remove(node);
        if ask.left.is_empty()
            && let Some(done) = ask.done.take()
        {
            // Who asked may have given up.
            done.send(()).ok();
        }
    }
}

impl Cluster {
    /// Has other nodes do something, and waits until each says so. Fails with those that did not within [`ANSWER`].
    pub(crate) async fn command(&self, verb: Verb, to: Vec<NodeId>) -> Result<(), Vec<NodeId>> {
        if to.is_empty() {
            return Ok(());
        }
        let id = TraceId::new().to_string();
        let (done, all_done) = oneshot::channel();
        let ask = Ask { left: to.iter().cloned().collect(), done: Some(done) };
        self.asks.open().insert(id.clone(), ask);
        let order = Order::Do { id: id.clone(), by: self.face.node.clone(), verb };
        let heard = async {
            self.say(COMMAND, pack(&order)).await;
            all_done.await.is_ok()
        };
        let answered = tokio::time::timeout(ANSWER, heard).await.unwrap_or(false);
        let left = self.asks.open().remove(&id).map(|ask| ask.left).unwrap_or_default();
        if answered { Ok(()) } else { Err(left.into_iter().collect()) }
    }

    /// Tells every node something that it may do or not.
    pub(crate) async fn tell(&self, verb: Verb) {
        let order = Order::Do { id: String::new(), by: self.face.node.clone(), verb };
        self.say(COMMAND, pack(&order)).await;
    }

    /// Says something to all nodes. That it was not said is found out by those who wait for the answer.
    pub(super) async fn say(&self, topic: &str, body: Option<Bytes>) {
        let Some(body) = body else { return };
        let said = tokio::time::timeout(SAY, self.bus.broadcast(topic, body)).await;
        let said = said.unwrap_or_else(|_| Err(bus::Error::Unavailable { reason: format!("silent for {SAY:?}") }));
        if let Err(error) = said {
            tracing::debug!(%error, topic, "A broadcast was not said.");
        }
    }
}
