//! Calls between agents: an execution waits for another's end.

use greenroom_contract::{
    BoxFuture, ExecutionId,
    call::CallResult,
    execution::Failure,
    port::state::{Calls, Result, StaleCall},
    status::ExecutionStatus,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    columns::Word,
    job::{Job, refuse, run},
    journal::Held,
    store::SqliteState,
};
use crate::{
    call::{CallEnd, Calling},
    refusal::no_step,
};

impl Calls for SqliteState {
    fn stale_calls(&self, limit: u32) -> BoxFuture<'_, Result<Vec<StaleCall>>> {
        const SQL: &str = "SELECT c.callee, c.agent, e.id, e.agent, e.trace_id, \
                 e.finished_at IS NULL AND e.attempt = c.attempt \
             FROM calls c INDEXED BY calls_open JOIN executions e ON e.seq = c.execution \
             WHERE c.status = 'open' AND (c.deadline_at <= ?1 OR e.finished_at IS NOT NULL OR e.attempt <> c.attempt) \
             LIMIT ?2 + 0";
        let now = self.now();
        Box::pin(self.read(move |conn| {
            let mut statement = conn.prepare_cached(SQL)?;
            let rows = statement.query_map(params![now, limit], |row| {
                Ok(StaleCall {
                    execution: ExecutionId::from_bytes(row.get(0)?),
                    agent: row.get::<_, Word<_>>(1)?.0,
                    caller: ExecutionId::from_bytes(row.get(2)?),
                    caller_agent: row.get::<_, Word<_>>(3)?.0,
                    trace_id: row.get::<_, Word<_>>(4)?.0,
                    is_awaited: row.get(5)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        }))
    }

    fn end_call(&self, result: CallResult) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async move {
            let (call, now) = (CallEnd::prepare(&result)?, self.now());
            self.write(move |conn| end(conn, &call, now)).await
        })
    }
}

/// Opens the calls of a run that ends to wait for them. Returns whether one of them has ended meanwhile.
pub(super) fn open(conn: &Connection, held: &Held, calls: &[Calling], now: i64) -> Job<bool> {
    const STEP: &str = "SELECT 1 FROM steps WHERE execution = ?1 AND attempt = ?2 AND seq = ?3";
    const CALL: &str = "INSERT INTO calls (callee, execution, attempt, step, agent, status, called_at, deadline_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, 'open', ?6, ?7) ON CONFLICT (callee) DO NOTHING";
    const ENDED: &str = "SELECT 1 FROM calls WHERE callee = ?1 AND status <> 'open'";
    let mut has_ended = false;
    for call in calls {
        if !conn.prepare_cached(STEP)?.exists(params![held.seq, held.attempt, call.seq])? {
            return refuse(no_step(call.seq, held.attempt));
        }
        let row = params![
            call.callee.as_bytes(),
            held.seq,
            held.attempt,
            call.seq,
            call.agent.as_str(),
            now,
            now.saturating_add(call.within_ms),
        ];
        match run(conn, CALL, row)? {
            0 => has_ended |= conn.prepare_cached(ENDED)?.exists([call.callee.as_bytes()])?,
            _ => {
                call.row.insert(conn, None, now)?;
            }
        }
    }
    Ok(has_ended)
}

/// Ends a call, settles the caller's step, and makes the caller due. Returns whether there was an open one.
pub(super) fn end(conn: &Connection, call: &CallEnd, now: i64) -> Job<bool> {
    const END: &str = "UPDATE calls SET status = ?2, ended_at = ?3 WHERE callee = ?1 AND status = 'open' \
         RETURNING execution, attempt, step";
    const SETTLE: &str = "UPDATE steps SET status = ?4, settled_at = ?5, duration_ms = max(?5 - intended_at, 0), \
             result = ?6 WHERE execution = ?1 AND attempt = ?2 AND seq = ?3 AND status = 'intended'";
    const GO_ON: &str = "UPDATE executions SET status = 'queued', available_at = ?2 WHERE seq = ?1 \
         AND status = 'waiting' AND attempt = ?3";
    let ended: Option<(i64, u32, u32)> = conn
        .prepare_cached(END)?
        .query_row(params![call.callee.as_bytes(), call.status, now], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((execution, attempt, seq)) = ended else { return Ok(false) };
    run(conn, SETTLE, params![execution, attempt, seq, call.step, now, call.result])?;
    run(conn, GO_ON, params![execution, now, attempt])?;
    Ok(true)
}

/// Ends the call that an execution answers, if it answers one, without an answer.
pub(super) fn end_without_answer(
    conn: &Connection,
    callee: ExecutionId,
    status: ExecutionStatus,
    failure: &Failure,
    now: i64,
) -> Job<()> {
    match CallEnd::without_answer(callee, status, failure) {
        Ok(call) => end(conn, &call, now).map(drop),
        Err(error) => refuse(error),
    }
}
