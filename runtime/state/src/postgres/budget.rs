//! Money set aside for calls under way. What is spent stands in `usage`.

use greenroom_contract::{
    MicroUsd, NodeId,
    clock::to_millis,
    port::state::{Error, Reservation, Reserved, Result, USAGE_BUCKET_MS},
};
use jiff::Timestamp;

use super::{
    ask::calling,
    columns::{Columns, int4},
    fault::Fault,
    store::PostgresState,
};
use crate::refusal::int;

/// One reservation of an agent is decided after the other, on whatever node. The lock is a statement of its own: the next
/// one then sees what the one before it committed.
pub(super) async fn reserve(store: &PostgresState, wanted: Reservation) -> Result<Reserved> {
    // A refused claim takes no lock.
    const ALONE: &str = "WITH held AS MATERIALIZED ( \
             SELECT seq, agent FROM executions WHERE id = $1 AND epoch = $2 AND status = 'running' FOR NO KEY UPDATE) \
         SELECT seq, agent, pg_advisory_xact_lock(hashtextextended( \
             'greenroom budget ' || current_schema() || ' ' || agent, 0)) FROM held";
    const RESERVE: &str = include_str!("statements/reserve.sql");
    let fence = wanted.fence;
    let call = calling::<Reserved, _>(move |conn, _| {
        Box::pin(async move {
            let id = fence.execution.as_bytes().as_slice();
            let held = sqlx::query(ALONE).bind(id).bind(int(fence.epoch)).fetch_optional(&mut *conn).await?;
            let Some(held) = held else { return Err(Error::Fenced.into()) };
            let (execution, agent): (i64, &str) = (held.get_at(0)?, held.get_at(1)?);
            let first = to_millis(wanted.since).div_euclid(USAGE_BUCKET_MS);
            let query = sqlx::query(RESERVE).bind(agent).bind(first).bind(execution).bind(int4(wanted.attempt));
            let query = query.bind(int4(wanted.seq)).bind(wanted.amount.0).bind(wanted.most.0);
            let sums = query.fetch_one(conn).await?;
            let (spent, reserved) = (MicroUsd(sums.get_at(0)?), MicroUsd(sums.get_at(1)?));
            let decision = Reserved::decide(spent, reserved, wanted.amount, wanted.most);
            if (decision == Reserved::Granted) != sums.get_at::<bool>(2)? {
                return Err(Fault::Wrong("a reservation was decided otherwise than it was written".to_owned()));
            }
            Ok(decision)
        })
    });
    store.reservation(call).await
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
