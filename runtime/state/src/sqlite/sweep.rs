//! What is old is deleted, a little at a time.

use greenroom_contract::{
    clock::{from_millis, to_millis},
    port::state::{Result, Swept, USAGE_BUCKET_MS, long_ago},
};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{job::run, store::SqliteState};

/// Pages of the file that stay free for what comes next: 4 MiB. Those beyond go back to the file system.
const SPARE_PAGES: i64 = 1024;
/// Pages that go back in one call.
const PAGES: i64 = 512;

/// That an execution `e` ended before a moment and nothing waits for it.
macro_rules! may_go {
    ($before:literal) => {
        concat!(
            " AND e.finished_at < ",
            $before,
            " AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.event_id = e.event_id)",
            " AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.execution_id = e.id)",
            " AND NOT EXISTS (SELECT 1 FROM dead_letters AS d WHERE d.execution_id = e.id AND d.replayed_at IS NULL)"
        )
    };
}

pub(super) async fn sweep(store: &SqliteState, before: Timestamp, limit: u32) -> Result<Swept> {
    let (now, before, limit) = (store.now(), to_millis(before), i64::from(limit.max(1)));
    let long_ago = to_millis(long_ago(from_millis(now), from_millis(before)));
    // Whoever writes waits only for what is deleted, not for what is passed over on the way to it.
    let old: Vec<i64> = store
        .read(move |conn| {
            let mut statement = conn.prepare_cached(OLD)?;
            let old = statement.query_map(params![before, limit], |row| row.get(0))?;
            Ok(old.collect::<rusqlite::Result<_>>()?)
        })
        .await?;
    store
        .write(move |conn| {
            let mut swept = Swept { more: at_least(old.len() as u64, limit), ..Swept::default() };
            for seq in old {
                swept.executions += u64::from(delete(conn, seq, before, now)?);
            }
            if !swept.more {
                others(conn, before, long_ago, limit, &mut swept)?;
            }
            give_back(conn, &mut swept)?;
            Ok(swept)
        })
        .await
}

/// What nobody waits for any more, the oldest first.
const OLD: &str = concat!(
    "SELECT e.seq FROM executions AS e INDEXED BY executions_finished WHERE e.finished_at IS NOT NULL",
    may_go!("?1"),
    " ORDER BY e.finished_at LIMIT ?2 + 0"
);

/// Deletes an execution that still may go, and keeps its name.
fn delete(conn: &Connection, seq: i64, before: i64, now: i64) -> rusqlite::Result<bool> {
    const STILL: &str = concat!("SELECT e.id FROM executions AS e WHERE e.seq = ?2", may_go!("?1"));
    const NAME: &str = "INSERT INTO swept (id, at) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING";
    let still = conn.prepare_cached(STILL)?.query_row([before, seq], |row| row.get::<_, [u8; 16]>(0)).optional()?;
    let Some(id) = still else { return Ok(false) };
    run(conn, NAME, params![id, now])?;
    run(conn, "DELETE FROM steps WHERE execution = ?1", [seq])?;
    // A later execution may get this number.
    run(conn, "DELETE FROM reservations WHERE execution = ?1", [seq])?;
    run(conn, "DELETE FROM executions WHERE seq = ?1", [seq])?;
    Ok(true)
}

/// Deletes what else is old.
fn others(conn: &Connection, before: i64, long_ago: i64, limit: i64, swept: &mut Swept) -> rusqlite::Result<()> {
    let mut some = |sql: &str, old: i64| -> rusqlite::Result<u64> {
        let gone = run(conn, sql, params![old, limit])? as u64;
        swept.more |= at_least(gone, limit);
        Ok(gone)
    };
    let (dead_letters, versions) = (some(LETTERS, before)?, some(VERSIONS, before)?);
    let others = some(USAGE, long_ago.div_euclid(USAGE_BUCKET_MS))? + some(NAMES, long_ago)?;
    let others = others + some(NODES, before)? + some(FIRINGS, before)?;
    (swept.dead_letters, swept.versions, swept.others) = (dead_letters, versions, others);
    Ok(())
}

const LETTERS: &str = "DELETE FROM dead_letters WHERE id IN ( \
         SELECT id FROM dead_letters WHERE replayed_at < ?1 ORDER BY replayed_at LIMIT ?2 + 0)";
// The version that was given last is the newest, whenever it was given first. Another is as old as what came after it.
const VERSIONS: &str = "DELETE FROM agent_versions WHERE rowid IN (SELECT v.rowid FROM agent_versions AS v \
     WHERE v.created_at < ?1 \
     AND EXISTS (SELECT 1 FROM agent_versions AS newer WHERE newer.agent = v.agent AND newer.created_at < ?1 \
         AND (newer.created_at, newer.version) > (v.created_at, v.version)) \
     AND NOT EXISTS (SELECT 1 FROM executions AS e WHERE e.agent = v.agent AND e.finished_at IS NULL \
         AND e.version = v.version) LIMIT ?2 + 0)";
const USAGE: &str = "DELETE FROM usage WHERE (agent, bucket) IN ( \
         SELECT agent, bucket FROM usage WHERE bucket < ?1 LIMIT ?2 + 0)";
const NAMES: &str = "DELETE FROM swept WHERE id IN (SELECT id FROM swept WHERE at < ?1 LIMIT ?2 + 0)";
const NODES: &str = "DELETE FROM nodes WHERE node IN (SELECT node FROM nodes WHERE lease_until < ?1 LIMIT ?2 + 0)";

// The newest of each agent is shown for as long as there is no newer one.
const FIRINGS: &str = "DELETE FROM firings WHERE (agent, due_at) IN (SELECT f.agent, f.due_at FROM firings AS f \
     WHERE f.decided_at < ?1 AND f.open = 0 AND f.status <> 'waiting' \
     AND EXISTS (SELECT 1 FROM firings AS newer WHERE newer.agent = f.agent AND newer.due_at > f.due_at) LIMIT ?2 + 0)";

/// Gives pages back that nothing needs soon. A file that was made before this was possible keeps them, for itself.
fn give_back(conn: &Connection, swept: &mut Swept) -> rusqlite::Result<()> {
    let ask = |pragma: &str| conn.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let free = ask("PRAGMA freelist_count")?;
    if free <= SPARE_PAGES || ask("PRAGMA auto_vacuum")? == 0 {
        return Ok(());
    }
    // A page goes with each step of the statement.
    let mut statement = conn.prepare(&format!("PRAGMA incremental_vacuum({})", PAGES.min(free - SPARE_PAGES)))?;
    let mut steps = statement.query([])?;
    while steps.next()?.is_some() {}
    let left = ask("PRAGMA freelist_count")?;
    let bytes = (free - left).max(0) * ask("PRAGMA page_size")?;
    swept.freed_bytes = bytes.unsigned_abs();
    swept.more |= left > SPARE_PAGES && left < free;
    Ok(())
}

fn at_least(count: u64, limit: i64) -> bool {
    i64::try_from(count).is_ok_and(|count| count >= limit)
}
