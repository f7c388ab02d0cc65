//! An outbox row on its way in.

use greenroom_contract::{
    AgentId, ClarificationId, Event, EventId, ExecutionId, ReplyTo, TraceId,
    port::state::{Outgoing, Result, STOPPED, Wanted},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    codec::{self, Stored},
    refusal::corrupt,
};

/// The kind of rows that carry an event for the bus.
pub(crate) const EVENT: &str = "event";
/// The kind of rows that carry a reply to a person.
pub(crate) const REPLY: &str = "reply";

/// The kind of rows that are wanted, and how many.
pub(crate) fn kind_of(wanted: Wanted) -> (&'static str, u32) {
    match wanted {
        Wanted::Events(limit) => (EVENT, limit),
        Wanted::Replies(limit) => (REPLY, limit),
    }
}

/// A row before it is written.
pub(crate) struct NewRow {
    pub(crate) kind: &'static str,
    pub(crate) event_id: Option<EventId>,
    pub(crate) agent: Option<AgentId>,
    pub(crate) topic: String,
    pub(crate) mandatory: bool,
    pub(crate) order_key: Option<i64>,
    pub(crate) trace_id: TraceId,
    pub(crate) body: Stored,
}

/// A reply as its row holds it.
#[derive(Serialize, Deserialize)]
pub(crate) struct ReplyBody {
    pub to: ReplyTo,
    pub text: String,
    pub is_error: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<ClarificationId>,
}

impl NewRow {
    /// The execution that the row promises to the one agent that is meant.
    pub(crate) fn execution(&self) -> Option<ExecutionId> {
        self.agent.as_ref().zip(self.event_id).map(|(agent, event)| ExecutionId::of(agent, event))
    }

    /// A row for an event. `agent` is the one agent that is meant.
    pub(crate) fn event(event: &Event, agent: Option<AgentId>, mandatory: bool) -> Result<Self> {
        Ok(Self {
            kind: EVENT,
            event_id: Some(event.event_id),
            agent,
            topic: event.event_type.clone(),
            mandatory,
            order_key: None,
            trace_id: event.trace_id,
            body: codec::encode_json(event).map_err(corrupt("an event"))?,
        })
    }

    /// A row for what an execution sends.
    pub(crate) fn outgoing(outgoing: Outgoing) -> Result<Self> {
        match outgoing {
            Outgoing::Event { event, mandatory } => {
                let meant = if mandatory { receiver(&event.event_type) } else { None };
                Self::event(&event, meant, mandatory)
            }
            Outgoing::Reply { to, text, is_error, card, trace_id } => {
                let (topic, order_key) = (to.kind().to_owned(), Some(order_key(&to)));
                let body = codec::encode_json(&ReplyBody { to, text, is_error, card }).map_err(corrupt("a reply"))?;
                Ok(Self {
                    kind: REPLY,
                    event_id: None,
                    agent: None,
                    topic,
                    mandatory: false,
                    order_key,
                    trace_id,
                    body,
                })
            }
        }
    }
}

/// What tells the person who asked in Slack that it was cancelled; nothing where nobody there did.
pub(crate) fn stopped(event: Stored) -> Option<NewRow> {
    let event: Event = codec::decode_json(event).ok()?;
    let to = event.reply_to.filter(|to| matches!(to, ReplyTo::Slack(_)))?;
    let (text, trace_id) = (STOPPED.to_owned(), event.trace_id);
    NewRow::outgoing(Outgoing::Reply { to, text, is_error: false, card: None, trace_id }).ok()
}

/// The one agent that a topic belongs to, if it is an agent's input.
pub(crate) fn receiver(topic: &str) -> Option<AgentId> {
    topic.strip_prefix("agent.input.")?.parse().ok()
}

/// Replies with the same key go out one after the other: those into one Slack channel, or to one address.
fn order_key(to: &ReplyTo) -> i64 {
    let parts: [&str; 3] = match to {
        ReplyTo::Slack(slack) => match &slack.channel_id {
            Some(channel) => ["slack-channel", slack.team_id.as_deref().unwrap_or_default(), channel],
            None => ["slack-url", "", slack.response_url.as_deref().unwrap_or_default()],
        },
        ReplyTo::Topic { topic } => ["topic", "", topic],
        ReplyTo::Caller { .. } => ["caller", "", ""],
    };
    let digest = Sha256::digest(parts.join("\n"));
    digest.iter().take(8).fold(0, |key, byte| (key << 8) | i64::from(*byte))
}
