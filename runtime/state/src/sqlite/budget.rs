//! Money set aside for calls under way. What is spent stands in `usage`.

use greenroom_contract::{
    MicroUsd, NodeId,
    clock::to_millis,
    port::state::{Reservation, Reserved, Result, USAGE_BUCKET_MS},
};
use jiff::Timestamp;
use rusqlite::params;

use super::{job::run, journal::hold, store::SqliteState};

pub(super) async fn reserve(store: &SqliteState, wanted: Reservation) -> Result<Reserved> {
    const OVER: &str = "DELETE FROM reservations WHERE agent = ?1 AND NOT EXISTS ( \
         SELECT 1 FROM executions e WHERE e.seq = reservations.execution AND e.finished_at IS NULL)";
    const SPENT: &str = "SELECT coalesce(sum(cost), 0) FROM usage WHERE agent = ?1 AND bucket >= ?2";
    // The price of a call that is settled stands in `usage` already.
    const RESERVED: &str = "SELECT coalesce(sum(amount), 0) FROM reservations r WHERE agent = ?1 AND execution <> ?2 \
         AND NOT EXISTS (SELECT 1 FROM steps s WHERE s.execution = r.execution AND s.attempt = r.attempt \
             AND s.seq = r.seq AND s.status <> 'intended')";
    const RESERVE: &str = "INSERT INTO reservations (execution, agent, attempt, seq, amount) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (execution) DO UPDATE SET agent = excluded.agent, attempt = excluded.attempt, seq = excluded.seq, \
             amount = excluded.amount";
    store
        .write(move |conn| {
            let held = hold(conn, wanted.fence)?;
            run(conn, OVER, [&held.agent])?;
            let first = to_millis(wanted.since).div_euclid(USAGE_BUCKET_MS);
            let spent = conn.prepare_cached(SPENT)?.query_row(params![held.agent, first], |row| row.get(0))?;
            let reserved = conn.prepare_cached(RESERVED)?.query_row(params![held.agent, held.seq], |row| row.get(0))?;
            let decision = Reserved::decide(MicroUsd(spent), MicroUsd(reserved), wanted.amount, wanted.most);
            if decision == Reserved::Granted {
                let row = params![held.seq, held.agent, wanted.attempt, wanted.seq, wanted.amount.0];
                run(conn, RESERVE, row)?;
            }
            Ok(decision)
        })
        .await
}

pub(super) async fn spent_by_node(store: &SqliteState, node: NodeId, since: Timestamp) -> Result<MicroUsd> {
    const SQL: &str = "SELECT coalesce(sum(s.cost), 0) FROM executions e JOIN steps s ON s.execution = e.seq \
         WHERE e.node = ?1 AND (e.finished_at IS NULL OR e.finished_at >= ?2) AND s.settled_at >= ?2";
    let since = to_millis(since);
    store
        .read(move |conn| {
            Ok(MicroUsd(conn.prepare_cached(SQL)?.query_row(params![node.as_str(), since], |row| row.get(0))?))
        })
        .await
}
