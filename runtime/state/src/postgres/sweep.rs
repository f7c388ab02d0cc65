//! What is old is deleted, a little at a time.

use greenroom_contract::{
    clock::{from_millis, to_millis},
    port::state::{Result, Swept, long_ago},
};
use jiff::Timestamp;
use sqlx::PgConnection;

use super::{ask::calling, fault::Job, options::Now, store::PostgresState, usage::BUCKET_MS};

/// How long an execution's name is kept before the execution goes. No statement takes so long.
const SETTLES_MS: i64 = 60_000;
/// How many names are kept in one call for each execution that may go in one: a name costs little.
const NAMES: i64 = 10;

pub(super) async fn sweep(store: &PostgresState, before: Timestamp, limit: u32) -> Result<Swept> {
    let (before, limit) = (to_millis(before), i64::from(limit.max(1)));
    let here = store.now().unwrap_or_else(|| to_millis(Timestamp::now()));
    let long_ago = to_millis(long_ago(from_millis(here), from_millis(before)));
    let call = calling::<Swept, _>(move |conn, now| {
        Box::pin(async move {
            if !is_alone(conn).await? {
                return Ok(Swept::default());
            }
            delete(conn, Ages { before, long_ago, limit }, now).await
        })
    });
    store.chore(call).await
}

/// What is old, and how much of it goes at a time.
#[derive(Clone, Copy)]
struct Ages {
    before: i64,
    long_ago: i64,
    limit: i64,
}

/// One node deletes at a time: until its commit, the others find this taken.
async fn is_alone(conn: &mut PgConnection) -> Job<bool> {
    const SQL: &str = "SELECT pg_try_advisory_xact_lock(hashtextextended('greenroom sweep ' || current_schema(), 0))";
    Ok(sqlx::query_scalar(SQL).fetch_one(conn).await?)
}

async fn delete(conn: &mut PgConnection, ages: Ages, now: Now) -> Job<Swept> {
    const EXECUTIONS: &str = include_str!("statements/sweep.sql");
    const NAMED: &str = include_str!("statements/keep_names.sql");
    const LETTERS: &str = "DELETE FROM dead_letters WHERE id IN (SELECT id FROM dead_letters \
             WHERE replayed_at < $1 ORDER BY replayed_at LIMIT $2)";
    // The version that was given last is the newest, whenever it was given first.
    const VERSIONS: &str = "DELETE FROM agent_versions WHERE ctid IN (SELECT v.ctid FROM agent_versions v \
         WHERE v.created_at < $1 \
         AND EXISTS (SELECT 1 FROM agent_versions newer WHERE newer.agent = v.agent \
             AND (newer.created_at, newer.version) > (v.created_at, v.version)) \
         AND NOT EXISTS (SELECT 1 FROM executions e WHERE e.agent = v.agent AND e.finished_at IS NULL \
             AND e.version = v.version) LIMIT $2)";
    const USAGE: &str = "DELETE FROM usage WHERE ctid IN (SELECT ctid FROM usage WHERE bucket < $1 LIMIT $2)";
    const NAMES_GONE: &str = "DELETE FROM swept WHERE ctid IN (SELECT ctid FROM swept WHERE at < $1 LIMIT $2)";
    const NODES: &str = "DELETE FROM nodes WHERE node IN (SELECT node FROM nodes WHERE lease_until < $1 LIMIT $2)";
    let Ages { before, long_ago, limit } = ages;
    let old = sqlx::query(EXECUTIONS).bind(now).bind(before).bind(limit).bind(SETTLES_MS);
    let executions = old.execute(&mut *conn).await?.rows_affected();
    let mut more = at_least(executions, limit);
    if !more {
        sqlx::query(NAMED).bind(now).bind(before).bind(limit * NAMES).execute(&mut *conn).await?;
    }
    let mut some = async |sql: &'static str, old: i64| -> Job<u64> {
        let gone = sqlx::query(sql).bind(old).bind(limit).execute(&mut *conn).await?.rows_affected();
        more |= at_least(gone, limit);
        Ok(gone)
    };
    let dead_letters = some(LETTERS, before).await?;
    let versions = some(VERSIONS, before).await?;
    let others =
        some(USAGE, long_ago / BUCKET_MS).await? + some(NAMES_GONE, long_ago).await? + some(NODES, before).await?;
    // What the autovacuum makes free is used again; PostgreSQL gives little back to the file system.
    Ok(Swept { executions, dead_letters, versions, others, freed_bytes: 0, more })
}

fn at_least(count: u64, limit: i64) -> bool {
    i64::try_from(count).is_ok_and(|count| count >= limit)
}
