//! What is old is deleted, a little at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};

use greenroom_contract::{
    clock::{from_millis, to_millis},
    port::state::{Result, Swept, USAGE_BUCKET_MS, long_ago},
};
use jiff::Timestamp;
use sqlx::PgConnection;

use super::{ask::calling, columns::Columns, fault::Job, options::Now, store::PostgresState};

/// How long an execution's name is kept before the execution goes. No statement takes so long.
const SETTLES_MS: i64 = 60_000;
/// How many executions are looked at in one call, to keep their names, for each that may go in one: a name costs little.
const NAMES: i64 = 10;

/// A place in the order in which executions ended: `finished_at` and `seq`.
type Reached = (i64, i64);
/// Before all of them.
const START: Reached = (i64::MIN, i64::MIN);

/// How far the names of old executions have been kept. Only a hint: from the end the next look begins at the start.
#[derive(Debug)]
pub(super) struct Named(Mutex<Reached>);

impl Default for Named {
    fn default() -> Self {
        Self(Mutex::new(START))
    }
}

impl Named {
    fn lock(&self) -> MutexGuard<'_, Reached> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn sweep(store: &PostgresState, before: Timestamp, limit: u32) -> Result<Swept> {
    let (before, limit) = (to_millis(before), i64::from(limit.max(1)));
    let here = store.now().unwrap_or_else(|| to_millis(Timestamp::now()));
    let long_ago = to_millis(long_ago(from_millis(here), from_millis(before)));
    let named = *store.named.lock();
    let call = calling::<(Swept, Reached), _>(move |conn, now| {
        Box::pin(async move {
            if !is_alone(conn).await? {
                return Ok((Swept::default(), START));
            }
            delete(conn, Ages { before, long_ago, limit }, named, now).await
        })
    });
    let (swept, named) = store.chore(call).await?;
    *store.named.lock() = named;
    Ok(swept)
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

/// Executions first; what else is old, once there are no more of them.
async fn delete(conn: &mut PgConnection, ages: Ages, named: Reached, now: Now) -> Job<(Swept, Reached)> {
    let (looked, executions) = executions(conn, ages, now).await?;
    let swept = Swept { executions, more: looked >= ages.limit, ..Swept::default() };
    if swept.more {
        return Ok((swept, named));
    }
    let named = keep_names(conn, ages, named, now).await?;
    let swept = Swept { more: named != START, ..swept };
    if swept.more {
        return Ok((swept, named));
    }
    Ok((others(conn, ages, swept).await?, named))
}

/// Deletes executions whose names are kept. Returns how many it looked at, and how many went.
async fn executions(conn: &mut PgConnection, ages: Ages, now: Now) -> Job<(i64, u64)> {
    const SQL: &str = include_str!("statements/sweep.sql");
    let query = sqlx::query(SQL).bind(now).bind(ages.before).bind(ages.limit).bind(SETTLES_MS);
    let row = query.fetch_one(conn).await?;
    Ok((row.get_at(0)?, row.count(1)?))
}

/// Keeps names, from a place on. Returns how far it came, or the start when it came to the end.
async fn keep_names(conn: &mut PgConnection, ages: Ages, from: Reached, now: Now) -> Job<Reached> {
    const SQL: &str = include_str!("statements/keep_names.sql");
    let most = ages.limit * NAMES;
    let query = sqlx::query(SQL).bind(now).bind(ages.before).bind(most).bind(from.0).bind(from.1);
    match query.fetch_optional(conn).await? {
        Some(row) if row.get_at::<i64>(0)? >= most => Ok((row.get_at(1)?, row.get_at(2)?)),
        _ => Ok(START),
    }
}

async fn others(conn: &mut PgConnection, ages: Ages, mut swept: Swept) -> Job<Swept> {
    const LETTERS: &str = "DELETE FROM dead_letters WHERE id IN (SELECT id FROM dead_letters \
             WHERE replayed_at < $1 ORDER BY replayed_at LIMIT $2)";
    // The version that was given last is the newest, whenever it was given first. Another is as old as what came after it.
    const VERSIONS: &str = "DELETE FROM agent_versions WHERE ctid IN (SELECT v.ctid FROM agent_versions v \
         WHERE v.created_at < $1 \
         AND EXISTS (SELECT 1 FROM agent_versions newer WHERE newer.agent = v.agent AND newer.created_at < $1 \
             AND (newer.created_at, newer.version) > (v.created_at, v.version)) \
         AND NOT EXISTS (SELECT 1 FROM executions e WHERE e.agent = v.agent AND e.finished_at IS NULL \
             AND e.version = v.version) LIMIT $2)";
    const USAGE: &str = "DELETE FROM usage WHERE ctid IN (SELECT ctid FROM usage WHERE bucket < $1 LIMIT $2)";
    const NAMES_GONE: &str = "DELETE FROM swept WHERE ctid IN (SELECT ctid FROM swept WHERE at < $1 LIMIT $2)";
    const NODES: &str = "DELETE FROM nodes WHERE node IN (SELECT node FROM nodes WHERE lease_until < $1 LIMIT $2)";
    // The newest of each agent is shown for as long as there is no newer one.
    const FIRINGS: &str = "DELETE FROM firings WHERE ctid IN (SELECT f.ctid FROM firings f \
         WHERE f.decided_at < $1 AND NOT f.open AND f.status <> 'waiting' \
         AND EXISTS (SELECT 1 FROM firings newer WHERE newer.agent = f.agent AND newer.due_at > f.due_at) LIMIT $2)";
    let Ages { before, long_ago, limit } = ages;
    let mut some = async |sql: &'static str, old: i64| -> Job<u64> {
        let gone = sqlx::query(sql).bind(old).bind(limit).execute(&mut *conn).await?.rows_affected();
        swept.more |= at_least(gone, limit);
        Ok(gone)
    };
    let (dead_letters, versions) = (some(LETTERS, before).await?, some(VERSIONS, before).await?);
    let others = some(USAGE, long_ago / USAGE_BUCKET_MS).await? + some(NAMES_GONE, long_ago).await?;
    let others = others + some(NODES, before).await? + some(FIRINGS, before).await?;
    // What the autovacuum makes free is used again; PostgreSQL gives little back to the file system.
    Ok(Swept { dead_letters, versions, others, ..swept })
}

fn at_least(count: u64, limit: i64) -> bool {
    i64::try_from(count).is_ok_and(|count| count >= limit)
}
