//! Nodes: their leases, who has work for them, and which agents operators hold back on all of them.

use std::time::Duration;

use greenroom_contract::{
    AgentId, NodeId,
    port::state::{NodeLease, Result},
};
use sqlx::{PgConnection, postgres::PgRow};

use super::{
    ask::{calling, key},
    columns::{Columns, wait_ms},
    fault::Job,
    options::Now,
    store::PostgresState,
};

pub(super) async fn heartbeat(store: &PostgresState, node: NodeId, ttl: Duration) -> Result<()> {
    const SQL: &str = "INSERT INTO nodes (node, lease_until) VALUES ($2, now_ms($1) + $3) \
         ON CONFLICT (node) DO UPDATE SET lease_until = excluded.lease_until";
    let call = calling::<(), _>(move |conn, now| {
        let node = node.clone();
        Box::pin(async move {
            sqlx::query(SQL).bind(now).bind(node.as_str()).bind(wait_ms(ttl)).execute(conn).await?;
            Ok(())
        })
    });
    store.lease(false, call).await
}

pub(super) async fn take_back(store: &PostgresState, node: NodeId) -> Result<u64> {
    let call = calling::<u64, _>(move |conn, now| {
        let node = node.clone();
        // Its own relay takes them up, in their order.
        const OUTBOX: &str = "UPDATE outbox SET lease_until = NULL WHERE lease_owner = $1 AND NOT published";
        Box::pin(async move { free(conn, &node, OUTBOX, 1, now).await })
    });
    store.lease(true, call).await
}

pub(super) async fn leave(store: &PostgresState, node: NodeId) -> Result<u64> {
    const LEASE: &str = "DELETE FROM nodes WHERE node = $1";
    const OUTBOX: &str =
        "UPDATE outbox SET lease_owner = NULL, lease_until = NULL WHERE lease_owner = $1 AND NOT published";
    let call = calling::<u64, _>(move |conn, now| {
        let node = node.clone();
        Box::pin(async move {
            sqlx::query(LEASE).bind(node.as_str()).execute(&mut *conn).await?;
            free(conn, &node, OUTBOX, 0, now).await
        })
    });
    store.lease(true, call).await
}

/// Queues again what a node holds, and lets go of what its relay holds: neither need wait for the lease to run out.
async fn free(conn: &mut PgConnection, node: &NodeId, outbox: &'static str, crashes: i32, now: Now) -> Job<u64> {
    const EXECUTIONS: &str = "UPDATE executions SET status = 'queued', available_at = now_ms($1), \
         crashes = crashes + $3 WHERE status = 'running' AND node = $2";
    sqlx::query(outbox).bind(node.as_str()).execute(&mut *conn).await?;
    let freed = sqlx::query(EXECUTIONS).bind(now).bind(node.as_str()).bind(crashes).execute(conn).await?;
    Ok(freed.rows_affected())
}

pub(super) async fn list(store: &PostgresState) -> Result<Vec<NodeLease>> {
    const SQL: &str = "SELECT node, lease_until, lease_until >= now_ms($1) FROM nodes ORDER BY node";
    let call = calling::<Vec<NodeLease>, _>(|conn, now| {
        Box::pin(async move {
            let read = |row: &PgRow| {
                Ok(NodeLease { node: NodeId::new(row.get_at(0)?), until: row.time(1)?, alive: row.get_at(2)? })
            };
            sqlx::query(SQL).bind(now).fetch_all(conn).await?.iter().map(read).collect()
        })
    });
    store.read(call).await
}

pub(super) async fn due_agents(store: &PostgresState, limit: u32) -> Result<Vec<AgentId>> {
    // From name to name by the index: a long queue of one agent is stepped over, not read.
    const SQL: &str = "WITH RECURSIVE waiting (agent) AS ( \
             (SELECT agent FROM executions WHERE status = 'queued' ORDER BY agent LIMIT 1) \
             UNION ALL SELECT (SELECT e.agent FROM executions e WHERE e.status = 'queued' AND e.agent > w.agent \
                 ORDER BY e.agent LIMIT 1) FROM waiting w WHERE w.agent IS NOT NULL) \
         SELECT agent FROM waiting w WHERE agent IS NOT NULL AND EXISTS ( \
             SELECT 1 FROM executions e WHERE e.status = 'queued' AND e.agent = w.agent \
                 AND e.available_at <= now_ms($1)) \
         UNION SELECT agent FROM executions lost WHERE status = 'running' AND NOT EXISTS ( \
             SELECT 1 FROM nodes n WHERE n.node = lost.node AND n.lease_until >= now_ms($1)) \
         ORDER BY agent LIMIT $2";
    let call = calling::<Vec<String>, _>(move |conn, now| {
        Box::pin(async move { Ok(sqlx::query_scalar(SQL).bind(now).bind(i64::from(limit)).fetch_all(conn).await?) })
    });
    Ok(agents(&store.read(call).await?))
}

pub(super) async fn set_paused(store: &PostgresState, agent: AgentId, paused: bool) -> Result<()> {
    const PAUSE: &str = "INSERT INTO paused_agents (agent, since) VALUES ($2, now_ms($1)) ON CONFLICT DO NOTHING";
    const RESUME: &str = "DELETE FROM paused_agents WHERE agent = $2 AND now_ms($1) IS NOT NULL";
    let lane = key(agent.as_str());
    let call = calling::<(), _>(move |conn, now| {
        let agent = agent.clone();
        Box::pin(async move {
            let query = sqlx::query(if paused { PAUSE } else { RESUME }).bind(now).bind(agent.as_str());
            query.execute(conn).await?;
            Ok(())
        })
    });
    store.statement(lane, call).await
}

pub(super) async fn paused(store: &PostgresState) -> Result<Vec<AgentId>> {
    const SQL: &str = "SELECT agent FROM paused_agents ORDER BY agent";
    let call = calling::<Vec<String>, _>(|conn, _| {
        Box::pin(async move { Ok(sqlx::query_scalar(SQL).fetch_all(conn).await?) })
    });
    Ok(agents(&store.read(call).await?))
}

/// A name that an earlier version allowed and this one does not is no agent that could be here.
fn agents(names: &[String]) -> Vec<AgentId> {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}
