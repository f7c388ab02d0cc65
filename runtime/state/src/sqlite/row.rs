//! An outbox row on its way into SQLite.

use greenroom_contract::{AgentId, EventId, ExecutionId};
use rusqlite::{Connection, params};

use super::job::run;
use crate::row::NewRow;

impl NewRow {
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
             AND NOT EXISTS (SELECT 1 FROM outbox WHERE event_id = ?2 AND topic = ?5) \
             AND NOT EXISTS (SELECT 1 FROM swept WHERE id = ?3)";
        Ok(self.put(conn, SQL, now)? == 1)
    }

    fn put(&self, conn: &Connection, sql: &str, now: i64) -> rusqlite::Result<usize> {
        run(
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
            ],
        )
    }
}
