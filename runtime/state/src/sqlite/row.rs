//! An outbox row on its way into SQLite.

use greenroom_contract::{AgentId, EventId, ExecutionId, NodeId, port::state::OutboxId};
use rusqlite::{Connection, params};

use super::{job::run, relay::HANDED_MS};
use crate::row::NewRow;

impl NewRow {
    /// Writes the row, leased to the relay of `node` if one is named. An event that waits under the same topic already is
    /// not written again: then there is no id.
    pub(super) fn insert(
        &self,
        conn: &Connection,
        node: Option<&NodeId>,
        now: i64,
    ) -> rusqlite::Result<Option<OutboxId>> {
        const SQL: &str = "INSERT INTO outbox (kind, event_id, execution_id, agent, topic, mandatory, order_key, \
             trace_id, available_at, created_at, body, lease_owner, lease_until) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?11, ?12) ON CONFLICT DO NOTHING";
        self.put(conn, SQL, node, now)
    }

    /// Like [`NewRow::insert`], if its event was never seen under its topic: neither on its way nor in any inbox.
    pub(super) fn insert_unseen(
        &self,
        conn: &Connection,
        node: Option<&NodeId>,
        now: i64,
    ) -> rusqlite::Result<Option<OutboxId>> {
        const SQL: &str = "INSERT INTO outbox (kind, event_id, execution_id, agent, topic, mandatory, order_key, \
             trace_id, available_at, created_at, body, lease_owner, lease_until) \
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?11, ?12 \
             WHERE NOT EXISTS (SELECT 1 FROM executions WHERE event_id = ?2 AND event_type = ?5) \
             AND NOT EXISTS (SELECT 1 FROM outbox WHERE event_id = ?2 AND topic = ?5) \
             AND NOT EXISTS (SELECT 1 FROM swept WHERE id = ?3)";
        self.put(conn, SQL, node, now)
    }

    fn put(&self, conn: &Connection, sql: &str, node: Option<&NodeId>, now: i64) -> rusqlite::Result<Option<OutboxId>> {
        let written = run(
            conn,
            sql,
            params![
                self.kind,
                self.event_id.as_ref().map(EventId::as_bytes),
                self.execution().as_ref().map(ExecutionId::as_bytes),
                self.agent.as_ref().map(AgentId::as_str),
                self.topic,
                self.mandatory,
                self.order_key,
                self.trace_id.to_string(),
                now,
                self.body,
                node.map(NodeId::as_str),
                node.map(|_| now + HANDED_MS),
            ],
        )?;
        Ok((written == 1).then(|| OutboxId(conn.last_insert_rowid())))
    }
}
