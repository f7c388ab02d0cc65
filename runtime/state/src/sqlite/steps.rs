//! Journal rows on their way out.

use greenroom_contract::{
    MicroUsd,
    clock::from_millis,
    execution::{Step, StepKind},
};
use rusqlite::{Connection, Row, params, types::Type};

use super::columns::{Word, count};
use crate::raw::RawStep;

/// The journal of one attempt, for its resume: what had an outcome counts as replayed.
pub(super) fn resume(conn: &Connection, execution: i64, attempt: u32) -> rusqlite::Result<Vec<RawStep>> {
    const SQL: &str = "UPDATE steps SET replays = replays + (status IN ('settled', 'failed')) \
         WHERE execution = ?1 AND attempt = ?2 \
         RETURNING attempt, seq, kind, name, status, effect, request_hash, idempotency_key, intended_at, \
             duration_ms, cost, replays, usage, result";
    let mut journal: Vec<RawStep> =
        conn.prepare_cached(SQL)?.query_map(params![execution, attempt], read)?.collect::<rusqlite::Result<_>>()?;
    journal.sort_unstable_by_key(|raw| raw.step.seq);
    Ok(journal)
}

/// The journal over all attempts.
pub(super) fn all(conn: &Connection, execution: i64) -> rusqlite::Result<Vec<RawStep>> {
    const SQL: &str = "SELECT attempt, seq, kind, name, status, effect, request_hash, idempotency_key, intended_at, \
             duration_ms, cost, replays, usage, result \
         FROM steps WHERE execution = ?1 ORDER BY attempt, seq";
    conn.prepare_cached(SQL)?.query_map([execution], read)?.collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<RawStep> {
    let kind: String = row.get(2)?;
    let unknown = || format!("{kind:?} is not a kind of step").into();
    let kind =
        StepKind::parse(&kind).ok_or_else(|| rusqlite::Error::FromSqlConversionFailure(2, Type::Text, unknown()))?;
    let step = Step {
        attempt: row.get(0)?,
        seq: row.get(1)?,
        kind,
        name: row.get(3)?,
        status: row.get::<_, Word<_>>(4)?.0,
        effect: row.get::<_, Word<_>>(5)?.0,
        request_hash: row.get(6)?,
        idempotency_key: row.get(7)?,
        result: None,
        usage: None,
        cost: row.get::<_, Option<i64>>(10)?.map(MicroUsd),
        replays: row.get(11)?,
        intended_at: from_millis(row.get(8)?),
        duration_ms: row.get::<_, Option<i64>>(9)?.map(|_| count(row, 9)).transpose()?,
    };
    Ok(RawStep { step, usage: row.get(12)?, result: row.get(13)? })
}
