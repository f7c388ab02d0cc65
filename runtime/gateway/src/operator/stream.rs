//! `GET /v1/tree/stream`: the supervision tree and then its changes, as server-sent events.
//!
//! Nothing is buffered for a reader: its stream looks into the table's ring when the connection takes more. One that
//! falls further behind than the ring reaches is sent `resync` and the whole tree again.

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
    routing::get,
};
use futures::{Stream, StreamExt, stream::unfold};
use greenroom_contract::{
    NodeId,
    port::operator::Scope,
    tree::{Change, ChangeKind, Changes},
};
use serde::Serialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::{
    Doors,
    http::{Params, Problem},
};

/// How many readers there may be at a time.
pub(super) const READERS: usize = 100;
/// How many changes a reader holds at most.
const BATCH: usize = 256;
/// The wait after a batch: what flickers meanwhile is sent once.
const PACE: Duration = Duration::from_millis(50);
/// How often a silent stream says that it is alive.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often the table is looked at without being told to: the dead leave it by the passing of time alone.
const LOOK_ANYWAY: Duration = Duration::from_secs(5);
/// How soon a browser comes back after the stream has ended.
const COME_BACK: Duration = Duration::from_secs(2);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

pub(super) fn routes() -> Router<Arc<Doors>> {
    let readers = Arc::new(Semaphore::new(READERS));
    Router::new().route("/v1/tree/stream", get(show).layer(Extension(readers)))
}

async fn show(
    State(doors): State<Arc<Doors>>,
    Extension(readers): Extension<Arc<Semaphore>>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let scope = params.only(&["scope"])?.one::<super::tree::Wanted>("scope")?;
    if let Some(super::tree::Wanted(Scope::Cluster)) = scope {
        let why = "the stream follows the tree of the node that serves it; poll GET /v1/tree for the cluster's";
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "not_built", "Not built yet", why));
    }
    let Ok(seat) = readers.try_acquire_owned() else {
        return Err(Problem::unavailable(format!("{READERS} readers follow the tree already; poll GET /v1/tree")));
    };
    // An id that is no number is as good as one that is not known any more: the reader gets the whole tree.
    let last = headers.get(LAST_EVENT_ID).map(|id| id.to_str().ok().and_then(|id| id.parse().ok()).unwrap_or(0));
    let closing = doors.closing.clone().cancelled_owned();
    let events = Reader::new(doors, last, seat).events().take_until(closing);
    let alive = KeepAlive::new().interval(HEARTBEAT);
    // Proxies must not collect events before they hand them on.
    Ok(([("x-accel-buffering", "no")], Sse::new(events).keep_alive(alive)).into_response())
}

struct Reader {
    doors: Arc<Doors>,
    node: NodeId,
    newest: watch::Receiver<u64>,
    /// The last change that was taken from the ring; `None` before the first look.
    at: Option<u64>,
    fallen_behind: bool,
    ready: std::vec::IntoIter<Change>,
    /// Freed when the stream ends, however it ends.
    _seat: OwnedSemaphorePermit,
}

/// A change with the node that it happened on.
#[derive(Serialize)]
struct Told<'a> {
    node: &'a NodeId,
    #[serde(flatten)]
    change: &'a Change,
}

impl Reader {
    fn new(doors: Arc<Doors>, last: Option<u64>, seat: OwnedSemaphorePermit) -> Self {
        let node = doors.table.place("").map(|root| NodeId::new(&root.name)).unwrap_or_else(|| NodeId::new("node"));
        let newest = doors.table.subscribe();
        Self { doors, node, newest, at: last, fallen_behind: false, ready: Vec::new().into_iter(), _seat: seat }
    }

    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> + Send {
        unfold(self, |mut reader| async move {
            let event = reader.next().await;
            Some((Ok(event), reader))
        })
    }

    async fn next(&mut self) -> Event {
        loop {
            if let Some(change) = self.ready.next() {
                return self.told(&change);
            }
            let Some(at) = self.at.filter(|_| !self.fallen_behind) else { return self.snapshot() };
            match self.doors.table.changes_since(at, BATCH) {
                Changes::Gap => {
                    self.fallen_behind = true;
                    return resync();
                }
                Changes::Some(changes) if changes.is_empty() => {
                    // Told of something new or not: the table is looked at again.
                    drop(tokio::time::timeout(LOOK_ANYWAY, self.newest.changed()).await);
                    tokio::time::sleep(PACE).await;
                }
                Changes::Some(changes) => {
                    self.at = changes.last().map(|change| change.seq);
                    self.ready = settled(changes).into_iter();
                }
            }
        }
    }

    fn snapshot(&mut self) -> Event {
        // Taken before the tree is read: a change between the two is told again, which does no harm; none is missed.
        let version = self.doors.table.version();
        (self.at, self.fallen_behind) = (Some(version), false);
        let tree = self.doors.operator.tree(Scope::Node);
        event("snapshot", &tree).id(version.to_string()).retry(COME_BACK)
    }

    fn told(&self, change: &Change) -> Event {
        let told = Told { node: &self.node, change };
        event(change.kind.as_str(), &told).id(change.seq.to_string())
    }
}

fn resync() -> Event {
    event("resync", &json!({ "reason": "more has changed than is kept; the whole tree follows" }))
}

fn event(name: &str, data: &impl Serialize) -> Event {
    // Every field serialises: maps have string keys and no value refuses.
    Event::default().event(name).data(serde_json::to_string(data).unwrap_or_default())
}

/// Leaves out changes of status that a later one of the same place in this batch has overtaken.
fn settled(changes: Vec<Change>) -> Vec<Change> {
    let mut last: HashMap<&str, u64> = HashMap::new();
    for change in &changes {
        last.insert(&change.path, change.seq);
    }
    let overtaken =
        |change: &Change| change.kind == ChangeKind::Status && last.get(change.path.as_str()) != Some(&change.seq);
    let keep: Vec<bool> = changes.iter().map(|change| !overtaken(change)).collect();
    changes.into_iter().zip(keep).filter_map(|(change, keep)| keep.then_some(change)).collect()
}
