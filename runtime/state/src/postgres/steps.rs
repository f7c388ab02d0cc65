//! Journal rows on their way out.

use greenroom_contract::{
    MicroUsd,
    execution::{Step, StepKind},
};
use sqlx::{PgConnection, postgres::PgRow};

use super::{
    columns::{Columns, int4},
    fault::{Fault, Job},
};
use crate::raw::RawStep;

/// The journal of one attempt, for its resume: what had an outcome counts as replayed.
pub(super) async fn resume(conn: &mut PgConnection, execution: i64, attempt: u32) -> Job<Vec<RawStep>> {
    const SQL: &str = "UPDATE steps SET replays = replays + (status IN ('settled', 'failed'))::int \
         WHERE execution = $1 AND attempt = $2 \
         RETURNING attempt, seq, kind, name, status, effect, request_hash, idempotency_key, intended_at, \
             duration_ms, cost, replays, usage, result";
    let rows = sqlx::query(SQL).bind(execution).bind(int4(attempt)).fetch_all(conn).await?;
    let mut journal: Vec<RawStep> = rows.iter().map(|row| read(row, 0)).collect::<Job<_>>()?;
    journal.sort_unstable_by_key(|raw| raw.step.seq);
    Ok(journal)
}

/// The journal over all attempts.
pub(super) async fn all(conn: &mut PgConnection, execution: i64) -> Job<Vec<RawStep>> {
    const SQL: &str = "SELECT attempt, seq, kind, name, status, effect, request_hash, idempotency_key, intended_at, \
             duration_ms, cost, replays, usage, result \
         FROM steps WHERE execution = $1 ORDER BY attempt, seq";
    let rows = sqlx::query(SQL).bind(execution).fetch_all(conn).await?;
    rows.iter().map(|row| read(row, 0)).collect()
}

/// Reads a step whose columns begin at `at`.
pub(super) fn read(row: &PgRow, at: usize) -> Job<RawStep> {
    let kind: &str = row.get_at(at + 2)?;
    let step = Step {
        attempt: row.small(at)?,
        seq: row.small(at + 1)?,
        kind: StepKind::parse(kind).ok_or_else(|| Fault::Wrong(format!("{kind:?} is not a kind of step")))?,
        name: row.get_at(at + 3)?,
        status: row.word(at + 4)?,
        effect: row.word(at + 5)?,
        request_hash: row.get_at(at + 6)?,
        idempotency_key: row.get_at(at + 7)?,
        result: None,
        usage: None,
        cost: row.get_at::<Option<i64>>(at + 10)?.map(MicroUsd),
        replays: row.small(at + 11)?,
        intended_at: row.time(at + 8)?,
        duration_ms: row.get_at::<Option<i64>>(at + 9)?.map(|_| row.count(at + 9)).transpose()?,
    };
    Ok(RawStep { step, usage: row.maybe_stored(at + 12)?, result: row.maybe_stored(at + 13)? })
}
