//! `GET /v1/tree/stream`: the supervision tree and then its changes, as server-sent events.
//!
//! Nothing is buffered for a reader: its stream looks into the rings of what changed here and of what was heard of the other
//! nodes when the connection takes more. One that falls further behind than they reach is sent `resync` and the whole tree
//! again.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::State,
    http::{HeaderMap, HeaderName},
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
    tree::{Changes, Feed, News, Since},
};
use serde::Serialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::{
    cursor::Cursor,
    settled::{Told, settled},
    tree::Wanted,
};
use crate::{
    Doors,
    http::{Params, Problem},
};

/// How many readers there may be at a time.
pub(super) const READERS: usize = 100;
/// How many changes a reader holds at most, of each ring.
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
    let scope = params.only(&["scope"])?.one::<Wanted>("scope")?.map_or(Scope::Node, |Wanted(scope)| scope);
    let Ok(seat) = readers.try_acquire_owned() else {
        return Err(Problem::unavailable(format!("{READERS} readers follow the tree already; poll GET /v1/tree")));
    };
    let last = headers.get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or_default().to_owned());
    let closing = doors.closing.clone().cancelled_owned();
    let events = Reader::new(doors, scope, last.as_deref(), seat).events().take_until(closing);
    let alive = KeepAlive::new().interval(HEARTBEAT);
    // Proxies must not collect events before they hand them on.
    Ok(([("x-accel-buffering", "no")], Sse::new(events).keep_alive(alive)).into_response())
}

struct Reader {
    doors: Arc<Doors>,
    node: NodeId,
    scope: Scope,
    /// What is heard of the other nodes, if it is wanted and there is a cluster.
    others: Option<(Feed, watch::Receiver<u64>)>,
    newest: watch::Receiver<u64>,
    /// What was sent; `None` before the first look.
    at: Option<Cursor>,
    fallen_behind: bool,
    ready: VecDeque<(Told, Cursor)>,
    /// Freed when the stream ends, however it ends.
    _seat: OwnedSemaphorePermit,
}

impl Reader {
    fn new(doors: Arc<Doors>, scope: Scope, last: Option<&str>, seat: OwnedSemaphorePermit) -> Self {
        let node = doors.table.place("").map(|root| NodeId::new(&root.name)).unwrap_or_else(|| NodeId::new("node"));
        let newest = doors.table.subscribe();
        let others = doors.operator.others().filter(|_| scope == Scope::Cluster);
        let others = others.map(|feed| (feed.clone(), feed.subscribe()));
        let at = last.map(|id| Cursor::read(id, scope, &node));
        Self { doors, node, scope, others, newest, at, fallen_behind: false, ready: VecDeque::new(), _seat: seat }
    }

    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> + Send {
        unfold(self, |mut reader| async move {
            let event = reader.next().await;
            Some((Ok(event), reader))
        })
    }

    async fn next(&mut self) -> Event {
        loop {
            if let Some((told, at)) = self.ready.pop_front() {
                return event(told.kind(), &told).id(self.id(at));
            }
            let Some(at) = self.at.filter(|_| !self.fallen_behind) else { return self.snapshot() };
            let Some((told, at)) = self.look(at) else {
                self.fallen_behind = true;
                return resync();
            };
            if told.is_empty() {
                // Told of something new or not: the rings are looked at again.
                drop(tokio::time::timeout(LOOK_ANYWAY, self.changed()).await);
                tokio::time::sleep(PACE).await;
            }
            (self.ready, self.at) = (told, Some(at));
        }
    }

    /// What happened since, each with where the reader is when it has it; `None` if it cannot be told any more.
    fn look(&self, mut at: Cursor) -> Option<(VecDeque<(Told, Cursor)>, Cursor)> {
        let Changes::Some(here) = self.doors.table.changes_since(at.here, BATCH) else { return None };
        let elsewhere = match &self.others {
            None => Vec::new(),
            Some((feed, _)) => match feed.since(at.elsewhere, BATCH) {
                Since::Some(heard) => heard,
                Since::Gap => return None,
            },
        };
        let mut told = Vec::with_capacity(here.len() + elsewhere.len());
        for change in here {
            at.here = change.seq;
            told.push((Told { node: self.node.clone(), news: News::Place(change) }, at));
        }
        for heard in elsewhere {
            at.elsewhere = heard.seq;
            told.push((Told { node: heard.node, news: heard.news }, at));
        }
        Some((settled(told).collect(), at))
    }

    /// Resolves when something is new.
    async fn changed(&mut self) {
        match &mut self.others {
            None => drop(self.newest.changed().await),
            Some((_, heard)) => {
                tokio::select! {
                    _ = self.newest.changed() => {}
                    _ = heard.changed() => {}
                }
            }
        }
    }

    fn snapshot(&mut self) -> Event {
        // Taken before the tree is read: a change between the two is told again, which does no harm; none is missed.
        let elsewhere = self.others.as_ref().map_or(0, |(feed, _)| feed.version());
        let at = Cursor { here: self.doors.table.version(), elsewhere };
        (self.at, self.fallen_behind) = (Some(at), false);
        let tree = self.doors.operator.tree(self.scope);
        event("snapshot", &tree).id(self.id(at)).retry(COME_BACK)
    }

    fn id(&self, at: Cursor) -> String {
        at.written(self.scope, &self.node)
    }
}

fn resync() -> Event {
    event("resync", &json!({ "reason": "more has changed than is kept; the whole tree follows" }))
}

fn event(name: &str, data: &impl Serialize) -> Event {
    // Every field serialises: maps have string keys and no value refuses.
    Event::default().event(name).data(serde_json::to_string(data).unwrap_or_default())
}
