//! The event: a message on the bus, in its envelope (R2.4).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    id::{AgentId, EventId, TraceId},
    status::UnknownStatus,
};

/// The envelope's version that this build writes, and the newest that it reads.
pub const SCHEMA_VERSION: u32 = 1;

/// A message on the bus. JSON both ways; fields that a later version added are kept as they came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The envelope's version.
    #[serde(default = "schema_version")]
    pub schema_version: u32,
    /// Receivers drop duplicates by it.
    pub event_id: EventId,
    /// What happened, or what is asked: the topic under which it is published.
    pub event_type: String,
    /// When it was made.
    pub timestamp: Timestamp,
    /// What it says.
    #[serde(default)]
    pub payload: Value,
    /// The workflow that it belongs to.
    pub trace_id: TraceId,
    /// How many times it was tried before it reached this envelope (a replayed dead letter counts on).
    #[serde(default)]
    pub retry_count: u32,
    /// How urgent it is.
    #[serde(default)]
    pub priority: Priority,
    /// The door or agent that made it, for example `http`, `slack`, `agent/customer-support`.
    pub source: String,
    /// The event or request that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// Which conversation of a continuous agent it belongs to; absent is the agent's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// Where the answer is to go, besides the agent's output topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<ReplyTo>,
    /// Fields of a later version, kept.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Why bytes are not an event that this build can read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON, or a field is missing or of the wrong kind.
    #[error("not an event: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A later Greenroom wrote it.
    #[error("schema version {found} is newer than {SCHEMA_VERSION}, the newest that this build reads")]
    TooNew {
        /// The version that was found.
        found: u32,
    },
}

impl Event {
    /// A new event of normal priority, made now.
    pub fn new(event_type: impl Into<String>, source: impl Into<String>, trace_id: TraceId, payload: Value) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            event_id: EventId::new(),
            event_type: event_type.into(),
            timestamp: Timestamp::now(),
            payload,
            trace_id,
            retry_count: 0,
            priority: Priority::Normal,
            source: source.into(),
            correlation_id: None,
            conversation: None,
            reply_to: None,
            extra: Map::new(),
        }
    }

    /// Reads an event. A version newer than [`SCHEMA_VERSION`] is refused, so that it is dead-lettered and not misread.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Version {
            #[serde(default = "schema_version")]
            schema_version: u32,
        }
        let Version { schema_version: found } = serde_json::from_slice(bytes)?;
        if found > SCHEMA_VERSION {
            return Err(Unreadable::TooNew { found });
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The event as JSON bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Every field serialises: maps have string keys and no value refuses.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

fn schema_version() -> u32 {
    SCHEMA_VERSION
}

/// How urgent an event is. Higher ones overtake lower ones that still wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// May wait.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Before normal ones.
    High,
    /// Before everything.
    Critical,
}

impl Priority {
    /// 0 (low) to 3 (critical), for stores.
    pub fn as_u8(self) -> u8 {
        self as u8
    }

    /// The inverse of [`Self::as_u8`]; anything else is normal.
    pub fn from_u8(value: u8) -> Self {
        match value {
            0 => Self::Low,
            2 => Self::High,
            3 => Self::Critical,
            _ => Self::Normal,
        }
    }
}

impl std::str::FromStr for Priority {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        serde_json::from_value(Value::String(text.to_owned()))
            .map_err(|_| UnknownStatus { value: text.to_owned(), expected: "low normal high critical" })
    }
}

/// Where an answer goes. The addresses in it are capabilities, so it is never logged and the API shows only its kind.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ReplyTo {
    /// Back to Slack.
    Slack(SlackReply),
    /// As an event under a topic.
    Topic {
        /// The topic.
        topic: String,
    },
    /// To the execution of another agent that waits for it.
    Caller {
        /// Who waits for whom: the agent that is answered is the last, the first has nobody that waits for it.
        path: Vec<AgentId>,
        /// Who asked the first of them in Slack: their questions go there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        person: Option<Box<SlackReply>>,
    },
}

impl ReplyTo {
    /// The kind alone, for logs and the API.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Slack(_) => "slack",
            Self::Topic { .. } => "topic",
            Self::Caller { .. } => "caller",
        }
    }

    /// The person in Slack for whom this is done, directly or by agents that asked each other.
    pub fn person(&self) -> Option<&SlackReply> {
        match self {
            Self::Slack(to) => Some(to),
            Self::Caller { person, .. } => person.as_deref(),
            Self::Topic { .. } => None,
        }
    }
}

impl std::fmt::Debug for ReplyTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ReplyTo").field(&self.kind()).finish()
    }
}

/// How to answer in Slack: by `response_url` while it lives, else into the channel.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlackReply {
    /// Slack's URL for up to five answers within 30 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_url: Option<String>,
    /// The workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<String>,
    /// The channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<String>,
    /// The thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_ts: Option<String>,
    /// Who asked: their questions are theirs to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<SlackUser>,
}

/// A person of Slack's. A user's id means something only together with the workspace; a name is no identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SlackUser {
    /// The workspace, or the organisation where an installation has no workspace.
    pub team_id: String,
    /// The user.
    pub user_id: String,
}

impl std::fmt::Display for SlackUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "slack:{}:{}", self.team_id, self.user_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample of version 1, written by hand: it must be readable for ever.
    const OLD_SAMPLE: &str = r#"{"event_id":"01900000-0000-7000-8000-000000000001","event_type":"demo.hello",
        "timestamp":"2026-11-22T22:45:18.105Z","payload":{"text":"hi"},"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736",
        "retry_count":0,"priority":"high","source":"http","from_the_future":[1]}"#;

    #[test]
    fn an_old_sample_reads_and_unknown_fields_are_kept() {
        let event = Event::from_bytes(OLD_SAMPLE.as_bytes()).unwrap();
        assert_eq!(event.priority, Priority::High);
        assert_eq!(event.extra["from_the_future"], serde_json::json!([1]));
        let again = Event::from_bytes(&event.to_bytes()).unwrap();
        assert_eq!(again, event);
    }

    #[test]
    fn a_newer_version_is_refused_before_its_fields_are_read() {
        let error = Event::from_bytes(br#"{"schema_version":9,"event_id":42}"#).unwrap_err();
        assert!(matches!(error, Unreadable::TooNew { found: 9 }));
    }

    #[test]
    fn a_reply_address_is_not_printed() {
        let reply = ReplyTo::Slack(SlackReply {
            response_url: Some("https://hooks.slack.com/secret".into()),
            ..Default::default()
        });
        assert!(!format!("{reply:?}").contains("secret"));
    }
}
