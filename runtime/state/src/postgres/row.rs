//! An outbox row on its way into PostgreSQL, where it does not go with a finish.

use greenroom_contract::{AgentId, EventId, ExecutionId};
use sqlx::PgConnection;

use super::{fault::Job, options::Now};
use crate::row::NewRow;

/// Writes the row. An event that waits under the same topic already is not written again.
pub(super) async fn insert(row: &NewRow, conn: &mut PgConnection, now: Now) -> Job<()> {
    const SQL: &str = "INSERT INTO outbox (kind, event_id, execution_id, agent, topic, mandatory, order_key, trace_id, \
         available_at, created_at, body) \
         VALUES ($2, $3, $4, $5, $6, $7, $8, $9, now_ms($1), now_ms($1), $10) ON CONFLICT DO NOTHING";
    put(row, conn, SQL, now).await.map(drop)
}

/// Writes the row if its event was never seen under its topic: neither on its way nor in any inbox. Says whether it was
/// written.
pub(super) async fn insert_unseen(row: &NewRow, conn: &mut PgConnection, now: Now) -> Job<bool> {
    const SQL: &str = "INSERT INTO outbox (kind, event_id, execution_id, agent, topic, mandatory, order_key, trace_id, \
         available_at, created_at, body) \
         SELECT $2, $3::bytea, $4::bytea, $5, $6::text, $7, $8, $9, now_ms($1), now_ms($1), $10 \
         WHERE NOT EXISTS (SELECT 1 FROM executions WHERE event_id = $3 AND event_type = $6) \
         AND NOT EXISTS (SELECT 1 FROM swept WHERE id = $4) \
         ON CONFLICT DO NOTHING";
    Ok(put(row, conn, SQL, now).await? == 1)
}

async fn put(row: &NewRow, conn: &mut PgConnection, sql: &'static str, now: Now) -> Job<u64> {
    let done = sqlx::query(sql)
        .bind(now)
        .bind(row.kind)
        .bind(row.event_id.as_ref().map(|id: &EventId| id.as_bytes().as_slice()))
        .bind(row.execution().as_ref().map(|id: &ExecutionId| id.as_bytes().as_slice()))
        .bind(row.agent.as_ref().map(AgentId::as_str))
        .bind(row.topic.as_str())
        .bind(row.mandatory)
        .bind(row.order_key)
        .bind(row.trace_id.to_string())
        .bind(row.body.clone().into_bytes())
        .execute(conn)
        .await?;
    Ok(done.rows_affected())
}
