//! Runs of plans, as people see them.

use std::time::Duration;

use greenroom_contract::{
    BoxFuture, ExecutionId, PlanRunId,
    execution::Fence,
    page::{Page, PageRequest},
    plan::{NewPlanRun, PlanRun, PlanRunFilter},
    port::state::{Outgoing, PlanRuns, Result},
    status::PlanRunStatus,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    columns::{Word, count},
    job::{Job, run},
    journal::{Held, hold},
    store::SqliteState,
};
use crate::{
    plan::{COLUMNS, LIST, NewRun, RawRun, grace_ms},
    row::NewRow,
};

impl PlanRuns for SqliteState {
    fn save_plan_run(&self, fence: Fence, new: NewPlanRun) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let (new, now) = (NewRun::prepare(new)?, self.now());
            self.write(move |conn| write(conn, &hold(conn, fence)?, &new, now)).await
        })
    }

    fn plan_run(&self, id: PlanRunId) -> BoxFuture<'_, Result<Option<PlanRun>>> {
        let sql = format!("SELECT {COLUMNS} FROM executions e JOIN plan_runs p ON p.execution = e.seq WHERE e.id = ?1");
        Box::pin(async move {
            let find =
                move |conn: &Connection| Ok(conn.prepare_cached(&sql)?.query_row([id.as_bytes()], read).optional()?);
            Ok(self.read(find).await?.map(|raw| raw.open().1))
        })
    }

    fn plan_runs(&self, filter: PlanRunFilter, page: PageRequest) -> BoxFuture<'_, Result<Page<PlanRun>>> {
        Box::pin(async move {
            let wanted = LIST.wanted(&page)?;
            let sql = format!(
                "SELECT {COLUMNS} FROM plan_runs p JOIN executions e ON e.seq = p.execution \
                 WHERE p.seq < ?1 AND (?2 IS NULL OR p.agent = ?2) AND (?3 IS NULL OR p.status = ?3) \
                 ORDER BY p.seq DESC LIMIT ?4 + 0"
            );
            let rows: Vec<RawRun> = self
                .read(move |conn| {
                    let agent = filter.agent.as_ref().map(|agent| agent.as_str());
                    let status = filter.status.map(PlanRunStatus::as_str);
                    let mut statement = conn.prepare_cached(&sql)?;
                    let rows = statement.query_map(params![wanted.below, agent, status, wanted.rows], read)?;
                    Ok(rows.collect::<rusqlite::Result<_>>()?)
                })
                .await?;
            Ok(LIST.page(rows.into_iter().map(RawRun::open).collect(), wanted.rows))
        })
    }

    fn stuck_plan_runs(&self, grace: Duration, limit: u32) -> BoxFuture<'_, Result<Vec<PlanRun>>> {
        let late = self.now().saturating_sub(grace_ms(grace));
        let sql = format!(
            "SELECT {COLUMNS} FROM plan_runs p INDEXED BY plan_runs_due JOIN executions e ON e.seq = p.execution \
             WHERE p.finished_at IS NULL AND p.stuck_at IS NULL AND p.deadline_at < ?1 \
             ORDER BY p.deadline_at LIMIT ?2 + 0"
        );
        Box::pin(async move {
            let rows: Vec<RawRun> = self
                .read(move |conn| {
                    let mut statement = conn.prepare_cached(&sql)?;
                    let rows = statement.query_map(params![late, limit], read)?;
                    Ok(rows.collect::<rusqlite::Result<_>>()?)
                })
                .await?;
            Ok(rows.into_iter().map(|raw| raw.open().1).collect())
        })
    }

    fn tell_stuck(&self, id: PlanRunId, outbox: Vec<Outgoing>) -> BoxFuture<'_, Result<bool>> {
        const TELL: &str = "UPDATE plan_runs SET stuck_at = ?2 WHERE finished_at IS NULL AND stuck_at IS NULL \
             AND execution = (SELECT seq FROM executions WHERE id = ?1)";
        Box::pin(async move {
            let outbox = outbox.into_iter().map(NewRow::outgoing).collect::<Result<Vec<_>>>()?;
            let now = self.now();
            let tell = move |conn: &Connection| {
                if run(conn, TELL, params![id.as_bytes(), now])? == 0 {
                    return Ok(false);
                }
                for row in &outbox {
                    row.insert(conn, None, now)?;
                }
                Ok(true)
            };
            self.write(tell).await
        })
    }
}

/// Writes how far a run is.
pub(super) fn write(conn: &Connection, held: &Held, new: &NewRun, now: i64) -> Job<()> {
    const SQL: &str = "INSERT INTO plan_runs \
             (execution, agent, status, version, told, created_at, updated_at, finished_at, deadline_at, body) \
         VALUES (?1, ?2, ?3, 1, ?4, ?5, ?5, ?6, ?7, ?8) \
         ON CONFLICT (execution) DO UPDATE SET status = excluded.status, version = version + 1, told = excluded.told, \
             updated_at = excluded.updated_at, finished_at = excluded.finished_at, \
             deadline_at = coalesce(deadline_at, excluded.deadline_at), body = excluded.body";
    let row = params![
        held.seq,
        held.agent,
        new.status.as_str(),
        new.told,
        now,
        new.finished_at(now),
        new.deadline_at,
        new.body
    ];
    run(conn, SQL, row)?;
    Ok(())
}

/// Ends the run of an execution that ended without it, if it has one.
pub(super) fn close(
    conn: &Connection,
    execution: ExecutionId,
    status: PlanRunStatus,
    now: i64,
) -> rusqlite::Result<()> {
    const SQL: &str = "UPDATE plan_runs SET status = ?2, version = version + 1, updated_at = ?3, finished_at = ?3 \
         WHERE finished_at IS NULL AND execution = (SELECT seq FROM executions WHERE id = ?1)";
    run(conn, SQL, params![execution.as_bytes(), status.as_str(), now]).map(drop)
}

fn read(row: &Row<'_>) -> rusqlite::Result<RawRun> {
    Ok(RawRun {
        row: row.get(0)?,
        execution_id: ExecutionId::from_bytes(row.get(1)?),
        agent: row.get::<_, Word<_>>(2)?.0,
        trace_id: row.get::<_, Word<_>>(3)?.0,
        status: row.get::<_, Word<_>>(4)?.0,
        version: count(row, 5)?,
        told: row.get(6)?,
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
        finished_at: row.get(9)?,
        deadline_at: row.get(10)?,
        body: row.get(11)?,
    })
}
