//! Runs of plans, as people see them.

use std::{sync::Arc, time::Duration};

use greenroom_contract::{
    BoxFuture, ExecutionId, PlanRunId,
    execution::Fence,
    page::{Page, PageRequest},
    plan::{NewPlanRun, PlanRun, PlanRunFilter},
    port::state::{Error, Outgoing, PlanRuns, Result},
    status::PlanRunStatus,
};
use sqlx::{AssertSqlSafe, PgConnection, postgres::PgRow};

use super::{
    ask::{calling, key},
    columns::{Columns, int4},
    fault::Job,
    options::Now,
    row,
    store::PostgresState,
};
use crate::{
    plan::{COLUMNS, LIST, NewRun, RawRun, grace_ms},
    refusal::int,
    row::NewRow,
};

impl PlanRuns for PostgresState {
    fn save_plan_run(&self, fence: Fence, run: NewPlanRun) -> BoxFuture<'_, Result<()>> {
        const HOLD: &str = "SELECT seq FROM executions \
             WHERE id = $1 AND epoch = $2 AND status = 'running' FOR NO KEY UPDATE";
        Box::pin(async move {
            let run = Arc::new(NewRun::prepare(run)?);
            let call = calling::<(), _>(move |conn, now| {
                let run = Arc::clone(&run);
                Box::pin(async move {
                    let id = fence.execution.as_bytes().as_slice();
                    let held = sqlx::query(HOLD).bind(id).bind(int(fence.epoch)).fetch_optional(&mut *conn).await?;
                    match held {
                        Some(_) => write(conn, fence.execution, &run, now).await,
                        None => Err(Error::Fenced.into()),
                    }
                })
            });
            self.transaction(vec![key(fence.execution.as_bytes())], call).await
        })
    }

    fn plan_run(&self, id: PlanRunId) -> BoxFuture<'_, Result<Option<PlanRun>>> {
        let call = calling::<Option<RawRun>, _>(move |conn, _| {
            Box::pin(async move {
                let sql = format!(
                    "SELECT {COLUMNS} FROM plan_runs p JOIN executions e ON e.seq = p.execution WHERE e.id = $1"
                );
                let query = sqlx::query(AssertSqlSafe(sql)).bind(id.as_bytes().as_slice());
                query.fetch_optional(conn).await?.as_ref().map(read).transpose()
            })
        });
        Box::pin(async move { Ok(self.read(call).await?.map(|raw| raw.open().1)) })
    }

    fn plan_runs(&self, filter: PlanRunFilter, page: PageRequest) -> BoxFuture<'_, Result<Page<PlanRun>>> {
        Box::pin(async move {
            let wanted = LIST.wanted(&page)?;
            let rows = wanted.rows;
            let call = calling::<Vec<RawRun>, _>(move |conn, _| {
                let filter = filter.clone();
                Box::pin(async move {
                    let sql = format!(
                        "SELECT {COLUMNS} FROM plan_runs p JOIN executions e ON e.seq = p.execution \
                         WHERE p.seq < $1 AND ($2::text IS NULL OR p.agent = $2) AND ($3::text IS NULL OR p.status = $3) \
                         ORDER BY p.seq DESC LIMIT $4"
                    );
                    let query = sqlx::query(AssertSqlSafe(sql))
                        .bind(wanted.below)
                        .bind(filter.agent.as_ref().map(|agent| agent.as_str()))
                        .bind(filter.status.map(PlanRunStatus::as_str))
                        .bind(i64::from(rows));
                    query.fetch_all(conn).await?.iter().map(read).collect()
                })
            });
            let found = self.read(call).await?;
            Ok(LIST.page(found.into_iter().map(RawRun::open).collect(), rows))
        })
    }

    fn stuck_plan_runs(&self, grace: Duration, limit: u32) -> BoxFuture<'_, Result<Vec<PlanRun>>> {
        let call = calling::<Vec<RawRun>, _>(move |conn, now| {
            Box::pin(async move {
                let sql = format!(
                    "SELECT {COLUMNS} FROM plan_runs p JOIN executions e ON e.seq = p.execution \
                     WHERE p.finished_at IS NULL AND p.stuck_at IS NULL AND p.deadline_at < now_ms($1) - $2 \
                     ORDER BY p.deadline_at LIMIT $3"
                );
                let query = sqlx::query(AssertSqlSafe(sql)).bind(now).bind(grace_ms(grace)).bind(i64::from(limit));
                query.fetch_all(conn).await?.iter().map(read).collect()
            })
        });
        Box::pin(async move { Ok(self.read(call).await?.into_iter().map(|raw| raw.open().1).collect()) })
    }

    fn tell_stuck(&self, id: PlanRunId, outbox: Vec<Outgoing>) -> BoxFuture<'_, Result<bool>> {
        const TELL: &str = "UPDATE plan_runs SET stuck_at = now_ms($1) WHERE finished_at IS NULL AND stuck_at IS NULL \
             AND execution = (SELECT seq FROM executions WHERE id = $2)";
        Box::pin(async move {
            let outbox = Arc::new(outbox.into_iter().map(NewRow::outgoing).collect::<Result<Vec<_>>>()?);
            let call = calling::<bool, _>(move |conn, now| {
                let outbox = Arc::clone(&outbox);
                Box::pin(async move {
                    let tell = sqlx::query(TELL).bind(now).bind(id.as_bytes().as_slice());
                    if tell.execute(&mut *conn).await?.rows_affected() == 0 {
                        return Ok(false);
                    }
                    for row in outbox.iter() {
                        row::insert(row, conn, now).await?;
                    }
                    Ok(true)
                })
            });
            self.transaction(vec![key(id.as_bytes())], call).await
        })
    }
}

/// Writes how far a run is, for who holds its execution.
pub(super) async fn write(conn: &mut PgConnection, execution: ExecutionId, new: &NewRun, now: Now) -> Job<()> {
    const SQL: &str = "INSERT INTO plan_runs AS p \
             (execution, agent, status, version, told, created_at, updated_at, finished_at, deadline_at, body) \
         SELECT e.seq, e.agent, $3, 1, $4, now_ms($1), now_ms($1), CASE WHEN $5 THEN now_ms($1) END, $6, $7 \
         FROM executions e WHERE e.id = $2 \
         ON CONFLICT (execution) DO UPDATE SET status = excluded.status, version = p.version + 1, \
             told = excluded.told, updated_at = excluded.updated_at, finished_at = excluded.finished_at, \
             deadline_at = coalesce(p.deadline_at, excluded.deadline_at), body = excluded.body";
    sqlx::query(SQL)
        .bind(now)
        .bind(execution.as_bytes().as_slice())
        .bind(new.status.as_str())
        .bind(int4(new.told))
        .bind(new.status.is_final())
        .bind(new.deadline_at)
        .bind(new.body.clone().into_bytes())
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends the run of an execution that ended without it, if it has one.
pub(super) async fn close(conn: &mut PgConnection, execution: ExecutionId, status: PlanRunStatus, now: Now) -> Job<()> {
    const SQL: &str = "UPDATE plan_runs SET status = $3, version = version + 1, updated_at = now_ms($1), \
             finished_at = now_ms($1) \
         WHERE finished_at IS NULL AND execution = (SELECT seq FROM executions WHERE id = $2)";
    let close = sqlx::query(SQL).bind(now).bind(execution.as_bytes().as_slice()).bind(status.as_str());
    close.execute(conn).await?;
    Ok(())
}

fn read(row: &PgRow) -> Job<RawRun> {
    Ok(RawRun {
        row: row.get_at(0)?,
        execution_id: ExecutionId::from_bytes(row.id(1)?),
        agent: row.word(2)?,
        trace_id: row.word(3)?,
        status: row.word(4)?,
        version: row.count(5)?,
        told: row.small(6)?,
        created_at: row.get_at(7)?,
        updated_at: row.get_at(8)?,
        finished_at: row.get_at(9)?,
        deadline_at: row.get_at(10)?,
        body: row.stored(11)?,
    })
}
