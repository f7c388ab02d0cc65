//! An outbox row on its way into SQLite.

use greenroom_contract::{AgentId, EventId, ExecutionId, NodeId, port::state::OutboxId};
use rusqlite::{Connection, OptionalExtension, params};

use super::relay::HANDED_MS;
use crate::row::NewRow;

/// Writes a row where `$wanted` holds. It is leased to the relay that it is given to, unless others wait under its topic or have
/// failed.
macro_rules! insert {
    ($wanted:literal) => {
        concat!(
            "INSERT INTO outbox (kind, event_id, execution_id, agent, topic, mandatory, order_key, trace_id, available_at, \
                 created_at, body, lease_owner, lease_until) \
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?11, \
                 CASE WHEN NOT EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_waiting \
                     WHERE topic = ?5 AND published = 0 AND kind = 'event' AND lease_until IS NULL) \
                 AND NOT EXISTS (SELECT 1 FROM outbox INDEXED BY outbox_failed \
                     WHERE topic = ?5 AND published = 0 AND kind = 'event' AND attempts > 0 AND attempts <= 50) \
                 THEN ?12 END WHERE ",
            $wanted,
            " RETURNING id, lease_until IS NOT NULL"
        )
    };
}

/// A row that was written.
pub(super) struct Written {
    pub(super) id: OutboxId,
    /// Whether it is leased to the relay that it was given to; else that takes it after those that wait under its topic.
    pub(super) leased: bool,
}

impl Written {
    pub(super) fn leased(self) -> Option<OutboxId> {
        self.leased.then_some(self.id)
    }
}

impl NewRow {
    /// Writes the row, given to the relay of `node` if one is named. An event that waits under the same topic already is not
    /// written again.
    pub(super) fn insert(
        &self,
        conn: &Connection,
        node: Option<&NodeId>,
        now: i64,
    ) -> rusqlite::Result<Option<Written>> {
        const SQL: &str = insert!("true ON CONFLICT DO NOTHING");
        self.put(conn, SQL, node, now)
    }

    /// Like [`NewRow::insert`], if its event was never seen under its topic: neither on its way nor in any inbox.
    pub(super) fn insert_unseen(
        &self,
        conn: &Connection,
        node: Option<&NodeId>,
        now: i64,
    ) -> rusqlite::Result<Option<Written>> {
        const SQL: &str = insert!(
            "NOT EXISTS (SELECT 1 FROM executions WHERE event_id = ?2 AND event_type = ?5) \
             AND NOT EXISTS (SELECT 1 FROM outbox WHERE event_id = ?2 AND topic = ?5) \
             AND NOT EXISTS (SELECT 1 FROM swept WHERE id = ?3)"
        );
        self.put(conn, SQL, node, now)
    }

    fn put(&self, conn: &Connection, sql: &str, node: Option<&NodeId>, now: i64) -> rusqlite::Result<Option<Written>> {
        let execution = self.execution();
        let row = params![
            self.kind,
            self.event_id.as_ref().map(EventId::as_bytes),
            execution.as_ref().map(ExecutionId::as_bytes),
            self.agent.as_ref().map(AgentId::as_str),
            self.topic,
            self.mandatory,
            self.order_key,
            self.trace_id.to_string(),
            now,
            self.body,
            node.map(NodeId::as_str),
            node.map(|_| now + HANDED_MS),
        ];
        conn.prepare_cached(sql)?
            .query_row(row, |row| Ok(Written { id: OutboxId(row.get(0)?), leased: row.get(1)? }))
            .optional()
    }
}
