//! What is old is deleted, a little at a time.

use greenroom_contract::{
    clock::{from_millis, to_millis},
    port::state::{Result, Swept, long_ago},
};
use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{job::run, store::SqliteState, usage::BUCKET_MS};

/// Pages of the file that stay free for what comes next: 4 MiB. Those beyond go back to the file system.
const SPARE_PAGES: i64 = 1024;
/// Pages that go back in one call.
const PAGES: i64 = 512;

pub(super) async fn sweep(store: &SqliteState, before: Timestamp, limit: u32) -> Result<Swept> {
    let (now, before, limit) = (store.now(), to_millis(before), i64::from(limit.max(1)));
    let long_ago = to_millis(long_ago(from_millis(now), from_millis(before)));
    store
        .write(move |conn| {
            let mut swept = Swept { executions: executions(conn, before, limit, now)?, ..Swept::default() };
            swept.more = at_least(swept.executions, limit);
            let mut some = |sql: &str, old: i64| -> rusqlite::Result<u64> {
                let gone = run(conn, sql, params![old, limit])? as u64;
                swept.more |= at_least(gone, limit);
                Ok(gone)
            };
            let (dead_letters, versions) = (some(LETTERS, before)?, some(VERSIONS, before)?);
            let others = some(USAGE, long_ago.div_euclid(BUCKET_MS))? + some(NAMES, long_ago)? + some(NODES, before)?;
            (swept.dead_letters, swept.versions, swept.others) = (dead_letters, versions, others);
            give_back(conn, &mut swept)?;
            Ok(swept)
        })
        .await
}

const LETTERS: &str = "DELETE FROM dead_letters WHERE id IN ( \
         SELECT id FROM dead_letters WHERE replayed_at < ?1 ORDER BY replayed_at LIMIT ?2 + 0)";
// The version that was given last is the newest, whenever it was given first.
const VERSIONS: &str = "DELETE FROM agent_versions WHERE rowid IN (SELECT v.rowid FROM agent_versions AS v \
     WHERE v.created_at < ?1 \
     AND EXISTS (SELECT 1 FROM agent_versions AS newer WHERE newer.agent = v.agent \
         AND (newer.created_at, newer.version) > (v.created_at, v.version)) \
     AND NOT EXISTS (SELECT 1 FROM executions AS e WHERE e.agent = v.agent AND e.finished_at IS NULL \
         AND e.version = v.version) LIMIT ?2 + 0)";
const USAGE: &str = "DELETE FROM usage WHERE (agent, bucket) IN ( \
         SELECT agent, bucket FROM usage WHERE bucket < ?1 LIMIT ?2 + 0)";
const NAMES: &str = "DELETE FROM swept WHERE id IN (SELECT id FROM swept WHERE at < ?1 LIMIT ?2 + 0)";
const NODES: &str = "DELETE FROM nodes WHERE node IN (SELECT node FROM nodes WHERE lease_until < ?1 LIMIT ?2 + 0)";

/// Deletes executions, and keeps their names.
fn executions(conn: &Connection, before: i64, limit: i64, now: i64) -> rusqlite::Result<u64> {
    const OLD: &str = "SELECT e.seq, e.id FROM executions AS e INDEXED BY executions_finished \
         WHERE e.finished_at IS NOT NULL AND e.finished_at < ?1 \
         AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.event_id = e.event_id) \
         AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.execution_id = e.id) \
         AND NOT EXISTS (SELECT 1 FROM dead_letters AS d WHERE d.execution_id = e.id AND d.replayed_at IS NULL) \
         ORDER BY e.finished_at LIMIT ?2 + 0";
    const NAME: &str = "INSERT INTO swept (id, at) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING";
    const JOURNAL: &str = "DELETE FROM steps WHERE execution = ?1";
    const GONE: &str = "DELETE FROM executions WHERE seq = ?1";
    let old: Vec<(i64, [u8; 16])> = conn
        .prepare_cached(OLD)?
        .query_map(params![before, limit], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (seq, id) in &old {
        run(conn, NAME, params![id, now])?;
        run(conn, JOURNAL, [seq])?;
        run(conn, GONE, [seq])?;
    }
    Ok(old.len() as u64)
}

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
