//! Calls between agents: an execution waits for another's end.

use std::sync::Arc;

use greenroom_contract::{
    BoxFuture, ExecutionId,
    call::CallResult,
    execution::Failure,
    port::state::{Calls, Result, StaleCall},
    status::ExecutionStatus,
};
use sqlx::{PgConnection, postgres::PgRow};

use super::{
    ask::{calling, key},
    columns::{Columns, int4},
    fault::Job,
    options::Now,
    row,
    store::PostgresState,
};
use crate::{
    call::{CallEnd, Calling},
    refusal::no_step,
};

impl Calls for PostgresState {
    fn stale_calls(&self, limit: u32) -> BoxFuture<'_, Result<Vec<StaleCall>>> {
        const SQL: &str = "SELECT c.callee, c.agent, e.id, e.agent, e.trace_id, \
                 e.finished_at IS NULL AND e.attempt = c.attempt \
             FROM calls c JOIN executions e ON e.seq = c.execution \
             WHERE c.status = 'open' \
             AND (c.deadline_at <= now_ms($1) OR e.finished_at IS NOT NULL OR e.attempt <> c.attempt) LIMIT $2";
        let call = calling::<Vec<StaleCall>, _>(move |conn, now| {
            Box::pin(async move {
                let query = sqlx::query(SQL).bind(now).bind(i64::from(limit));
                query.fetch_all(conn).await?.iter().map(read).collect()
            })
        });
        Box::pin(self.read(call))
    }

    fn end_call(&self, result: CallResult) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async move {
            let lane = key(result.execution_id.as_bytes());
            let end_of = Arc::new(CallEnd::prepare(&result)?);
            let call = calling::<bool, _>(move |conn, now| {
                let end_of = Arc::clone(&end_of);
                Box::pin(async move { end(conn, &end_of, now).await })
            });
            self.transaction(vec![lane], call).await
        })
    }
}

fn read(row: &PgRow) -> Job<StaleCall> {
    Ok(StaleCall {
        execution: ExecutionId::from_bytes(row.id(0)?),
        agent: row.word(1)?,
        caller: ExecutionId::from_bytes(row.id(2)?),
        caller_agent: row.word(3)?,
        trace_id: row.word(4)?,
        is_awaited: row.get_at(5)?,
    })
}

/// Opens the calls of a run that ends to wait for them. Returns whether one of them has ended meanwhile. The caller's row is
/// locked, so that none ends between this look and the wait.
pub(super) async fn open(
    conn: &mut PgConnection,
    (execution, attempt): (i64, u32),
    calls: &[Calling],
    now: Now,
) -> Job<bool> {
    const STEP: &str = "SELECT EXISTS (SELECT 1 FROM steps WHERE execution = $1 AND attempt = $2 AND seq = $3)";
    const CALL: &str = "INSERT INTO calls (callee, execution, attempt, step, agent, status, called_at, deadline_at) \
         VALUES ($2, $3, $4, $5, $6, 'open', now_ms($1), now_ms($1) + $7) ON CONFLICT (callee) DO NOTHING";
    const ENDED: &str = "SELECT EXISTS (SELECT 1 FROM calls WHERE callee = $1 AND status <> 'open')";
    let mut has_ended = false;
    for call in calls {
        let step = sqlx::query_scalar(STEP).bind(execution).bind(int4(attempt)).bind(int4(call.seq));
        if !step.fetch_one(&mut *conn).await? {
            return Err(no_step(call.seq, attempt).into());
        }
        let callee = call.callee.as_bytes().as_slice();
        let opened = sqlx::query(CALL)
            .bind(now)
            .bind(callee)
            .bind(execution)
            .bind(int4(attempt))
            .bind(int4(call.seq))
            .bind(call.agent.as_str())
            .bind(call.within_ms)
            .execute(&mut *conn)
            .await?;
        match opened.rows_affected() {
            0 => has_ended |= sqlx::query_scalar::<_, bool>(ENDED).bind(callee).fetch_one(&mut *conn).await?,
            _ => row::insert(&call.row, conn, now).await?,
        }
    }
    Ok(has_ended)
}

/// Ends a call, settles the caller's step, and makes the caller due. Returns whether there was an open one. The caller is
/// locked first: one that is about to wait then sees the end, or is seen to wait.
pub(super) async fn end(conn: &mut PgConnection, call: &CallEnd, now: Now) -> Job<bool> {
    const LOCK: &str = "SELECT e.seq FROM executions e JOIN calls c ON c.execution = e.seq \
         WHERE c.callee = $1 FOR NO KEY UPDATE OF e";
    const END: &str = "UPDATE calls SET status = $3, ended_at = now_ms($1) WHERE callee = $2 AND status = 'open' \
         RETURNING execution, attempt, step";
    const SETTLE: &str = "UPDATE steps SET status = $5, settled_at = now_ms($1), \
             duration_ms = greatest(now_ms($1) - intended_at, 0), result = $6 \
         WHERE execution = $2 AND attempt = $3 AND seq = $4 AND status = 'intended'";
    const GO_ON: &str = "UPDATE executions SET status = 'queued', available_at = now_ms($1) WHERE seq = $2 \
         AND status = 'waiting' AND attempt = $3";
    let callee = call.callee.as_bytes().as_slice();
    if sqlx::query(LOCK).bind(callee).fetch_optional(&mut *conn).await?.is_none() {
        return Ok(false);
    }
    let ended = sqlx::query(END).bind(now).bind(callee).bind(call.status).fetch_optional(&mut *conn).await?;
    let Some(ended) = ended else { return Ok(false) };
    let (execution, attempt): (i64, i32) = (ended.get_at(0)?, ended.get_at(1)?);
    let settle = sqlx::query(SETTLE)
        .bind(now)
        .bind(execution)
        .bind(attempt)
        .bind(ended.get_at::<i32>(2)?)
        .bind(call.step)
        .bind(call.result.clone().into_bytes());
    settle.execute(&mut *conn).await?;
    sqlx::query(GO_ON).bind(now).bind(execution).bind(attempt).execute(conn).await?;
    Ok(true)
}

/// Ends the call that an execution answers, if it answers one, without an answer.
pub(super) async fn end_without_answer(
    conn: &mut PgConnection,
    callee: ExecutionId,
    status: ExecutionStatus,
    failure: &Failure,
    now: Now,
) -> Job<()> {
    end(conn, &CallEnd::without_answer(callee, status, failure)?, now).await?;
    Ok(())
}
