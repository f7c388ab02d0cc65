//! Ids. Each is its own type, so that a trace id never stands where an event id is meant.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A text that is not an id of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not {what}")]
pub struct InvalidId {
    /// What was expected, with its article and its rule.
    pub what: &'static str,
    /// What was given.
    pub value: String,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id. Ids made later sort later (UUID version 7).
            #[expect(clippy::new_without_default, reason = "a default id would hide that each call makes another")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id that always belongs to `parts`, so that a repeated request finds its first answer.
            /// UUID version 8 over the SHA-256 of the parts, each preceded by its length.
            pub fn derived(parts: &[&str]) -> Self {
                Self(derive(parts))
            }

            /// The id as 16 bytes, for stores.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The inverse of [`Self::as_bytes`].
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::parse_str(text)
                    .map(Self)
                    .map_err(|_| InvalidId { what: $what, value: text.to_owned() })
            }
        }
    };
}

uuid_id!(
    /// One event on the bus. Receivers drop duplicates by it.
    EventId,
    "an event id (a UUID)"
);
uuid_id!(
    /// One agent handling one event.
    ExecutionId,
    "an execution id (a UUID)"
);

uuid_id!(
    /// One question to people.
    ClarificationId,
    "a clarification's id (a UUID)"
);

impl ClarificationId {
    /// The question that an execution asks at a step: asked again after a crash, it is the same.
    pub fn of(execution: ExecutionId, attempt: u32, seq: u32) -> Self {
        Self::derived(&["clarification", &execution.to_string(), &attempt.to_string(), &seq.to_string()])
    }
}

uuid_id!(
    /// One run of a plan. It is its coordinator's execution under another name, so that either id leads to both.
    PlanRunId,
    "a plan run's id (a UUID)"
);

impl PlanRunId {
    /// The run that a coordinator's execution is.
    pub fn of(execution: ExecutionId) -> Self {
        Self::from_bytes(*execution.as_bytes())
    }

    /// The coordinator's execution.
    pub fn execution(self) -> ExecutionId {
        ExecutionId::from_bytes(*self.as_bytes())
    }
}

impl ExecutionId {
    /// The execution that `agent` makes of `event`: known at the door, before the inbox has the event.
    pub fn of(agent: &AgentId, event: EventId) -> Self {
        Self::derived(&["execution", agent.as_str(), &event.to_string()])
    }
}

fn derive(parts: &[&str]) -> Uuid {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    Uuid::new_v8(bytes)
}

/// One workflow from its door to its last reply: 32 lower-case hex digits, as in W3C Trace Context.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(u128);

impl TraceId {
    /// A new trace id.
    #[expect(clippy::new_without_default, reason = "a default id would hide that each call makes another")]
    pub fn new() -> Self {
        Self(Uuid::now_v7().as_u128())
    }

    /// Reads the trace id of a W3C `traceparent` header (`00-<trace id>-<span id>-<flags>`).
    pub fn from_traceparent(header: &str) -> Option<Self> {
        header.trim().split('-').nth(1)?.parse().ok()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TraceId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId { what: "a trace id (32 hex digits, not all zero)", value: text.to_owned() };
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        match u128::from_str_radix(text, 16) {
            Ok(0) | Err(_) => Err(invalid()),
            Ok(value) => Ok(Self(value)),
        }
    }
}

macro_rules! string_serde {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

string_serde!(TraceId);
string_serde!(AgentId);

/// An agent's name: 1 to 63 of `a-z 0-9 - _`, beginning with a letter or digit. No dots, because it is one word of a topic.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgentId(std::sync::Arc<str>);

/// The rule of [`AgentId`] as a regular expression, for schemas.
pub const AGENT_ID_PATTERN: &str = "^[a-z0-9][a-z0-9_-]{0,62}$";

impl AgentId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The topic and queue that commands to this agent go to.
    pub fn input_topic(&self) -> String {
        format!("agent.input.{self}")
    }

    /// The topic on which this agent's results are published.
    pub fn output_topic(&self) -> String {
        format!("agent.output.{self}")
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AgentId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let rest = |b: u8| inner(b) || b == b'-' || b == b'_';
        let bytes = text.as_bytes();
        let valid = bytes.first().is_some_and(|b| inner(*b)) && bytes.len() <= 63 && bytes.iter().all(|b| rest(*b));
        if valid {
            return Ok(Self(text.into()));
        }
        Err(InvalidId {
            what: "an agent's name (1 to 63 of a-z 0-9 - _, beginning with a letter or digit)",
            value: text.to_owned(),
        })
    }
}

impl JsonSchema for AgentId {
    fn schema_name() -> Cow<'static, str> {
        "AgentId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": AGENT_ID_PATTERN })
    }
}

/// One `greenroom` process.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(std::sync::Arc<str>);

impl NodeId {
    /// Names a node.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_id_is_taken_from_traceparent_and_zero_is_refused() {
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(TraceId::from_traceparent(header).unwrap().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(TraceId::from_traceparent("00-00000000000000000000000000000000-00f067aa0ba902b7-01"), None);
        assert_eq!(TraceId::from_traceparent("nonsense"), None);
    }

    #[test]
    fn derived_ids_do_not_confuse_their_parts() {
        assert_eq!(EventId::derived(&["a", "b"]), EventId::derived(&["a", "b"]));
        assert_ne!(EventId::derived(&["ab", ""]), EventId::derived(&["a", "b"]));
    }

    #[test]
    fn agent_names_are_one_topic_word() {
        assert!("customer-support".parse::<AgentId>().is_ok());
        for bad in ["", "-x", "Customer", "a.b", "a b", "ü", &"x".repeat(64)] {
            assert!(bad.parse::<AgentId>().is_err(), "{bad:?} was taken");
        }
    }
}
