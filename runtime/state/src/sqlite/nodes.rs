//! Nodes: their leases, who has work for them, and which agents operators hold back on all of them.

use std::time::Duration;

use greenroom_contract::{
    AgentId, NodeId,
    clock::from_millis,
    port::state::{NodeLease, Result},
};
use rusqlite::{Row, params};

use super::{columns::after, job::run, store::SqliteState};

pub(super) async fn heartbeat(store: &SqliteState, node: NodeId, ttl: Duration) -> Result<()> {
    const SQL: &str = "INSERT INTO nodes (node, lease_until) VALUES (?1, ?2) \
         ON CONFLICT (node) DO UPDATE SET lease_until = excluded.lease_until";
    let until = after(store.now(), ttl);
    store.write(move |conn| Ok(run(conn, SQL, params![node.as_str(), until]).map(drop)?)).await
}

pub(super) async fn take_back(store: &SqliteState, node: NodeId) -> Result<u64> {
    // Its own relay takes them up, in their order.
    const OUTBOX: &str = "UPDATE outbox SET lease_until = NULL WHERE lease_owner = ?1 AND published = 0";
    let now = store.now();
    store.write(move |conn| Ok(free(conn, &node, OUTBOX, now, 1)?)).await
}

pub(super) async fn leave(store: &SqliteState, node: NodeId) -> Result<u64> {
    const LEASE: &str = "DELETE FROM nodes WHERE node = ?1";
    const OUTBOX: &str = "UPDATE outbox SET lease_owner = NULL, lease_until = NULL \
         WHERE lease_owner = ?1 AND published = 0";
    let now = store.now();
    store
        .write(move |conn| {
            run(conn, LEASE, [node.as_str()])?;
            Ok(free(conn, &node, OUTBOX, now, 0)?)
        })
        .await
}

/// Queues again what a node holds, and lets go of what its relay holds: neither need wait for the lease to run out.
fn free(conn: &rusqlite::Connection, node: &NodeId, outbox: &str, now: i64, crashes: u32) -> rusqlite::Result<u64> {
    const EXECUTIONS: &str = "UPDATE executions SET status = 'queued', available_at = ?2, crashes = crashes + ?3 \
         WHERE status = 'running' AND node = ?1";
    run(conn, outbox, [node.as_str()])?;
    Ok(run(conn, EXECUTIONS, params![node.as_str(), now, crashes])? as u64)
}

pub(super) async fn list(store: &SqliteState) -> Result<Vec<NodeLease>> {
    const SQL: &str = "SELECT node, lease_until FROM nodes ORDER BY node";
    let now = store.now();
    let read = move |row: &Row<'_>| {
        let (node, until): (String, i64) = (row.get(0)?, row.get(1)?);
        Ok(NodeLease { node: NodeId::new(&node), until: from_millis(until), alive: until >= now })
    };
    store.read(move |conn| Ok(conn.prepare_cached(SQL)?.query_map([], read)?.collect::<rusqlite::Result<_>>()?)).await
}

pub(super) async fn due_agents(store: &SqliteState, limit: u32) -> Result<Vec<AgentId>> {
    const SQL: &str = "SELECT agent FROM executions WHERE status = 'queued' AND available_at <= ?1 \
         UNION SELECT agent FROM executions AS lost WHERE status = 'running' AND NOT EXISTS ( \
             SELECT 1 FROM nodes WHERE nodes.node = lost.node AND nodes.lease_until >= ?1) \
         ORDER BY agent LIMIT ?2 + 0";
    let now = store.now();
    agents(store, SQL, vec![now, limit.into()]).await
}

pub(super) async fn set_paused(store: &SqliteState, agent: AgentId, paused: bool) -> Result<()> {
    const PAUSE: &str = "INSERT INTO paused_agents (agent, since) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    const RESUME: &str = "DELETE FROM paused_agents WHERE agent = ?1";
    let now = store.now();
    store
        .write(move |conn| {
            match paused {
                true => run(conn, PAUSE, params![agent.as_str(), now])?,
                false => run(conn, RESUME, [agent.as_str()])?,
            };
            Ok(())
        })
        .await
}

pub(super) async fn paused(store: &SqliteState) -> Result<Vec<AgentId>> {
    agents(store, "SELECT agent FROM paused_agents ORDER BY agent", Vec::new()).await
}

async fn agents(store: &SqliteState, sql: &'static str, params: Vec<i64>) -> Result<Vec<AgentId>> {
    let names: Vec<String> = store
        .read(move |conn| {
            let mut statement = conn.prepare_cached(sql)?;
            let names = statement.query_map(rusqlite::params_from_iter(params), |row| row.get(0))?;
            Ok(names.collect::<rusqlite::Result<_>>()?)
        })
        .await?;
    // A name that an earlier version allowed and this one does not is no agent that could be here.
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}
