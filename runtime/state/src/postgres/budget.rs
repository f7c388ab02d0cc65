//! Money set aside for calls under way. What is spent stands in `usage`.

use greenroom_contract::{
    MicroUsd, NodeId,
    clock::to_millis,
    port::state::{Error, Reservation, Reserved, Result},
};
use jiff::Timestamp;

use super::{
    ask::{calling, key},
    columns::{Columns, int4},
    store::PostgresState,
    usage::BUCKET_MS,
};
use crate::refusal::int;

/// One reservation of an agent is decided after the other, on whatever node. The lock is a statement of its own: the next
/// one then sees what the one before it committed.
pub(super) async fn reserve(store: &PostgresState, wanted: Reservation) -> Result<Reserved> {
    const HOLD: &str =
        "SELECT seq, agent FROM executions WHERE id = $1 AND epoch = $2 AND status = 'running' FOR NO KEY UPDATE";
    const ALONE: &str = "SELECT pg_advisory_xact_lock(hashtextextended('greenroom budget ' || $1, 0))";
    const OVER: &str = "DELETE FROM reservations r WHERE agent = $1 AND NOT EXISTS ( \
         SELECT 1 FROM executions e WHERE e.seq = r.execution AND e.finished_at IS NULL)";
    // One statement, so that a price is seen where it was reserved or where it was spent, never in both or neither.
    const SUMS: &str = "SELECT \
             (SELECT coalesce(sum(cost), 0)::bigint FROM usage WHERE agent = $1 AND bucket >= $2), \
             (SELECT coalesce(sum(amount), 0)::bigint FROM reservations r WHERE agent = $1 AND execution <> $3 \
                 AND NOT EXISTS (SELECT 1 FROM steps s WHERE s.execution = r.execution AND s.attempt = r.attempt \
                     AND s.seq = r.seq AND s.status <> 'intended'))";
    const RESERVE: &str = "INSERT INTO reservations (execution, agent, attempt, seq, amount) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (execution) DO UPDATE SET attempt = excluded.attempt, seq = excluded.seq, amount = excluded.amount";
    let fence = wanted.fence;
    let call = calling::<Reserved, _>(move |conn, _| {
        Box::pin(async move {
            let id = fence.execution.as_bytes().as_slice();
            let held = sqlx::query(HOLD).bind(id).bind(int(fence.epoch)).fetch_optional(&mut *conn).await?;
            let Some(held) = held else { return Err(Error::Fenced.into()) };
            let execution: i64 = held.get_at(0)?;
            let agent: &str = held.get_at(1)?;
            sqlx::query(ALONE).bind(agent).execute(&mut *conn).await?;
            sqlx::query(OVER).bind(agent).execute(&mut *conn).await?;
            let first = to_millis(wanted.since).div_euclid(BUCKET_MS);
            let sums = sqlx::query(SUMS).bind(agent).bind(first).bind(execution).fetch_one(&mut *conn).await?;
            let (spent, reserved) = (MicroUsd(sums.get_at(0)?), MicroUsd(sums.get_at(1)?));
            let decision = Reserved::decide(spent, reserved, wanted.amount, wanted.most);
            if decision == Reserved::Granted {
                let query = sqlx::query(RESERVE).bind(execution).bind(agent).bind(int4(wanted.attempt));
                query.bind(int4(wanted.seq)).bind(wanted.amount.0).execute(conn).await?;
            }
            Ok(decision)
        })
    });
    store.transaction(vec![key(fence.execution.as_bytes())], call).await
}

pub(super) async fn spent_by_node(store: &PostgresState, node: NodeId, since: Timestamp) -> Result<MicroUsd> {
    const SQL: &str = "SELECT coalesce(sum(s.cost), 0)::bigint FROM executions e JOIN steps s ON s.execution = e.seq \
         WHERE e.node = $1 AND (e.finished_at IS NULL OR e.finished_at >= $2) AND s.settled_at >= $2";
    let call = calling::<MicroUsd, _>(move |conn, _| {
        let node = node.clone();
        Box::pin(async move {
            let row = sqlx::query(SQL).bind(node.as_str()).bind(to_millis(since)).fetch_one(conn).await?;
            Ok(MicroUsd(row.get_at(0)?))
        })
    });
    store.read(call).await
}
