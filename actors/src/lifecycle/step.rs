//! Which change is news, and which.

use greenroom_contract::{
    AgentId, Event, EventId, NodeId, TraceId,
    status::AgentStatus::{self, Failed, Idle, Paused, Running, Starting, Unavailable},
    tree::{Change, ChangeKind},
};
use serde_json::{Map, Value, json};

/// The topic under which it is told that something was missed.
pub const GAP: &str = "cluster.lifecycle.gap";

/// What happened to an agent or an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// A generation of it is there.
    Started,
    /// Its supervisor restarts it.
    Restarted,
    /// Its restarts are used up.
    Parked,
    /// An execution of it, its preparation or it itself failed.
    Failed,
    /// It has ended on purpose.
    Stopped,
    /// An operator holds it back.
    Paused,
    /// It is ready again after it was paused, parked or unavailable.
    Resumed,
    /// It could not be prepared.
    Unavailable,
    /// It did not stop and was killed.
    Killed,
    /// It did not even end when it was killed.
    Quarantined,
}

impl News {
    /// Every one, for those who ask who listens.
    pub const ALL: [Self; 10] = [
        Self::Started,
        Self::Restarted,
        Self::Parked,
        Self::Failed,
        Self::Stopped,
        Self::Paused,
        Self::Resumed,
        Self::Unavailable,
        Self::Killed,
        Self::Quarantined,
    ];

    /// The topic under which it is told.
    pub fn topic(self) -> &'static str {
        match self {
            Self::Started => "cluster.lifecycle.started",
            Self::Restarted => "cluster.lifecycle.restarted",
            Self::Parked => "cluster.lifecycle.parked",
            Self::Failed => "cluster.lifecycle.failed",
            Self::Stopped => "cluster.lifecycle.stopped",
            Self::Paused => "cluster.lifecycle.paused",
            Self::Resumed => "cluster.lifecycle.resumed",
            Self::Unavailable => "cluster.lifecycle.unavailable",
            Self::Killed => "cluster.lifecycle.killed",
            Self::Quarantined => "cluster.lifecycle.quarantined",
        }
    }

    /// What a change means, if it is news.
    pub(super) fn of(change: &Change) -> Option<Self> {
        match change.kind {
            ChangeKind::Entered => Some(Self::Started),
            ChangeKind::Restarted => Some(Self::Restarted),
            ChangeKind::Failed => Some(Self::Failed),
            ChangeKind::Killed => Some(Self::Killed),
            ChangeKind::Quarantined => Some(Self::Quarantined),
            ChangeKind::Left => Some(Self::Stopped),
            ChangeKind::Status => Self::of_status(change.was?, change.place.status),
            ChangeKind::Updated | ChangeKind::Gone => None,
        }
    }

    fn of_status(was: AgentStatus, is: AgentStatus) -> Option<Self> {
        match (was, is) {
            (_, Paused) => Some(Self::Paused),
            (_, Failed) => Some(Self::Parked),
            (_, Unavailable) => Some(Self::Unavailable),
            (Paused | Failed | Unavailable, Idle | Running | Starting) => Some(Self::Resumed),
            _ => None,
        }
    }
}

/// Whose news it would be: the agent of an agent's or instance's place. Nobody's else.
pub(super) fn agent_of(change: &Change) -> Option<AgentId> {
    let path = match change.place.kind.as_str() {
        "agent" => change.path.as_str(),
        "instance" => change.place.parent()?,
        _ => return None,
    };
    path.rsplit('/').next()?.parse().ok()
}

/// The event that tells it. Its id follows from the change, so that telling it twice is telling it once.
pub(super) fn event(node: &NodeId, agent: &AgentId, news: News, change: &Change) -> Event {
    let place = &change.place;
    let told = [News::Restarted, News::Parked, News::Failed, News::Unavailable].contains(&news);
    let cause = place.failures.front().filter(|_| told);
    let mut payload = Map::new();
    for (key, value) in [
        ("node", json!(node)),
        ("agent", json!(agent)),
        ("path", json!(change.path)),
        ("kind", json!(place.kind)),
        ("name", json!(place.name)),
        ("status", json!(place.status)),
        ("generation", json!(place.generation)),
        ("restarts", json!(place.restarts)),
    ] {
        payload.insert(key.to_owned(), value);
    }
    if let Some(cause) = cause {
        payload.insert("cause".to_owned(), json!(cause));
    }
    let trace_id = cause.and_then(|cause| cause.trace_id).unwrap_or_else(TraceId::new);
    made(node, news.topic(), change.seq, trace_id, Value::Object(payload))
}

/// The event that tells that changes after `at` were missed, up to `newest`.
pub(super) fn gap(node: &NodeId, at: u64, newest: u64) -> Event {
    let payload = json!({ "node": node, "missed": newest.saturating_sub(at) });
    made(node, GAP, newest, TraceId::new(), payload)
}

fn made(node: &NodeId, topic: &str, seq: u64, trace_id: TraceId, payload: Value) -> Event {
    let mut event = Event::new(topic, "lifecycle", trace_id, payload);
    event.event_id = EventId::derived(&["lifecycle", node.as_str(), topic, &seq.to_string()]);
    event
}
