//! An outbox row on its way in.

use greenroom_contract::{
    AgentId, Event, EventId, ExecutionId, ReplyTo, TraceId,
    port::state::{Outgoing, Result},
};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::job::{corrupt, run};
use crate::codec::{self, Stored};

/// The kind of rows that carry an event for the bus.
pub(super) const EVENT: &str = "event";
/// The kind of rows that carry a reply to a person.
pub(super) const REPLY: &str = "reply";

/// A row before it is written.
pub(super) struct NewRow {
    kind: &'static str,
    event_id: Option<EventId>,
    agent: Option<AgentId>,
    topic: String,
    mandatory: bool,
    order_key: Option<i64>,
    trace_id: TraceId,
    body: Stored,
}

/// A reply as its row holds it.
#[derive(Serialize, Deserialize)]
pub(super) struct ReplyBody {
    pub to: ReplyTo,
    pub text: String,
    pub is_error: bool,
}

impl NewRow {
    /// A row for an event. `agent` is the one agent that is meant.
    pub(super) fn event(event: &Event, agent: Option<AgentId>, mandatory: bool) -> Result<Self> {
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
    pub(super) fn outgoing(outgoing: Outgoing) -> Result<Self> {
        match outgoing {
            Outgoing::Event { event, mandatory } => {
                let meant = if mandatory { receiver(&event.event_type) } else { None };
                Self::event(&event, meant, mandatory)
            }
            Outgoing::Reply { to, text, is_error, trace_id } => {
                let (topic, order_key) = (to.kind().to_owned(), Some(order_key(&to)));
                let body = codec::encode_json(&ReplyBody { to, text, is_error }).map_err(corrupt("a reply"))?;
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

    /// Writes the row. An event that waits under the same topic already is not written again.
    pub(super) fn insert(&self, conn: &Connection, now: i64) -> rusqlite::Result<()> {
        const SQL: &str = "INSERT INTO outbox (kind, event_id, execution_id, agent, topic, mandatory, order_key, \
             trace_id, available_at, created_at, body) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10) ON CONFLICT DO NOTHING";
        self.put(conn, SQL, now).map(drop)
    }

    /// Writes the row if its event was never seen under its topic: neither on its way nor in any inbox. Says whether it was written.
    pub(super) fn insert_unseen(&self, conn: &Connection, now: i64) -> rusqlite::Result<bool> {
        const SQL: &str = "INSERT INTO outbox (kind, event_id, execution_id, agent, topic, mandatory, order_key, \
             trace_id, available_at, created_at, body) \
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10 \
             WHERE NOT EXISTS (SELECT 1 FROM executions WHERE event_id = ?2 AND event_type = ?5) \
             AND NOT EXISTS (SELECT 1 FROM outbox WHERE event_id = ?2 AND topic = ?5)";
        Ok(self.put(conn, SQL, now)? == 1)
    }

    fn put(&self, conn: &Connection, sql: &str, now: i64) -> rusqlite::Result<usize> {
        let agent = self.agent.as_ref();
        let execution = agent.zip(self.event_id).map(|(agent, event)| ExecutionId::of(agent, event));
        run(
            conn,
            sql,
            params![
                self.kind,
                self.event_id.as_ref().map(EventId::as_bytes),
                execution.as_ref().map(ExecutionId::as_bytes),
                agent.map(AgentId::as_str),
                self.topic,
                self.mandatory,
                self.order_key,
                self.trace_id.to_string(),
                now,
                self.body,
            ],
        )
    }
}

/// The one agent that a topic belongs to, if it is an agent's input.
pub(super) fn receiver(topic: &str) -> Option<AgentId> {
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
    };
    let digest = Sha256::digest(parts.join("\n"));
    digest.iter().take(8).fold(0, |key, byte| (key << 8) | i64::from(*byte))
}
