//! The end of an attempt, in one transaction with everything that it leaves behind.

use std::time::Duration;

use greenroom_contract::{
    ExecutionId, NodeId,
    execution::{Failure, Fence},
    port::state::{Conclusion, Finish, OutboxId, Result},
    status::ExecutionStatus,
};
use rusqlite::{Connection, params};

use super::{
    calls, checkpoint, clarifications,
    columns::after,
    dead,
    job::{Job, run},
    journal::{Held, Settling, hold},
    memory, plan_runs,
    row::Written,
    store::SqliteState,
    undelivered,
};
use crate::{
    call::CallEnd,
    codec::{self, Stored},
    plan::{NewRun, of_execution},
    refusal::{conflict, corrupt},
    row::{self, NewRow},
};

/// How the attempt ended, ready to be written.
enum End {
    Succeeded(Stored),
    Retry { failure: Failure, wait: Duration },
    Ended { status: ExecutionStatus, failure: Failure },
}

/// Ends an attempt, and leases the events that it sends to the relay of `node`, if one is named.
pub(super) async fn finish(
    store: &SqliteState,
    fence: Fence,
    finish: Finish,
    node: Option<NodeId>,
) -> Result<Vec<Option<OutboxId>>> {
    let now = store.now();
    let Finish { conclusion, settle, checkpoint, outbox, call, remembers, plan_run } = finish;
    let end = End::prepare(conclusion)?;
    let settle = settle.map(Settling::prepare).transpose()?;
    let checkpoint = checkpoint.map(checkpoint::Prepared::new).transpose()?;
    let plan_run = plan_run.map(|run| NewRun::prepare(*run)).transpose()?;
    let call = call.as_ref().map(CallEnd::prepare).transpose()?;
    let outbox = outbox.into_iter().map(NewRow::outgoing).collect::<Result<Vec<_>>>()?;
    store
        .write(move |conn| {
            let held = hold(conn, fence)?;
            if let Some(settle) = &settle {
                settle.write(conn, &held, now)?;
            }
            if let Some(checkpoint) = &checkpoint {
                checkpoint.write(conn, &held, now)?;
            }
            let mut leased = Vec::with_capacity(outbox.len());
            for row in &outbox {
                // A reply waits its turn.
                let relay = node.as_ref().filter(|_| row.order_key.is_none());
                leased.push(row.insert(conn, relay, now)?.and_then(Written::leased));
            }
            for remember in &remembers {
                memory::write(remember, conn, &held, now)?;
            }
            if let Some(plan_run) = &plan_run {
                plan_runs::write(conn, &held, plan_run, now)?;
            }
            end.write(conn, fence.execution, &held, now)?;
            if let Some(call) = &call {
                calls::end(conn, call, now)?;
            }
            Ok(leased)
        })
        .await
}

impl End {
    fn prepare(conclusion: Conclusion) -> Result<Self> {
        match conclusion {
            Conclusion::Succeeded(output) => {
                Ok(Self::Succeeded(codec::encode_json(&output).map_err(corrupt("an output"))?))
            }
            Conclusion::Retry { failure, after: wait } => Ok(Self::Retry { failure, wait }),
            Conclusion::Ended { status, failure } => match status {
                ExecutionStatus::Failed
                | ExecutionStatus::TimedOut
                | ExecutionStatus::Cancelled
                | ExecutionStatus::Dead => Ok(Self::Ended { status, failure }),
                other => Err(conflict(format!("an execution does not end without success as {other}"))),
            },
        }
    }

    fn write(&self, conn: &Connection, id: ExecutionId, held: &Held, now: i64) -> Job<()> {
        const SUCCEEDED: &str = "UPDATE executions SET status = 'succeeded', output = ?2, finished_at = ?3, \
             error_code = NULL, error_message = NULL WHERE seq = ?1";
        const RETRY: &str = "UPDATE executions SET status = 'queued', attempt = attempt + 1, available_at = ?2, \
             error_code = ?3, error_message = ?4 WHERE seq = ?1";
        const ENDED: &str = "UPDATE executions SET status = ?2, finished_at = ?3, error_code = ?4, \
             error_message = ?5 WHERE seq = ?1";
        match self {
            Self::Succeeded(output) => {
                run(conn, SUCCEEDED, params![held.seq, output, now])?;
            }
            Self::Retry { failure, wait } => {
                run(conn, RETRY, params![held.seq, after(now, *wait), failure.code, failure.message])?;
            }
            Self::Ended { status, failure } => {
                run(conn, ENDED, params![held.seq, status.as_str(), now, failure.code, failure.message])?;
                plan_runs::close(conn, id, of_execution(*status), now)?;
                if *status != ExecutionStatus::Cancelled {
                    dead::bury(conn, id, held, failure, now)?;
                }
            }
        }
        Ok(())
    }
}

pub(super) async fn cancel(store: &SqliteState, execution: ExecutionId, failure: Failure) -> Result<bool> {
    // The new epoch tells the one who works on it, at its next write.
    const SQL: &str = "UPDATE executions SET status = 'cancelled', epoch = epoch + 1, finished_at = ?2, \
         error_code = ?3, error_message = ?4 WHERE id = ?1 AND finished_at IS NULL";
    const EVENT: &str = "SELECT event FROM executions WHERE id = ?1";
    let now = store.now();
    store
        .write(move |conn| {
            let cancelled = run(conn, SQL, params![execution.as_bytes(), now, failure.code, failure.message])?;
            if cancelled > 0 {
                clarifications::cancel(conn, execution, now)?;
                plan_runs::close(conn, execution, of_execution(ExecutionStatus::Cancelled), now)?;
                calls::end_without_answer(conn, execution, ExecutionStatus::Cancelled, &failure, now)?;
                let event = conn.prepare_cached(EVENT)?.query_row([execution.as_bytes()], |row| row.get(0))?;
                if let Some(told) = row::stopped(event) {
                    told.insert(conn, None, now)?;
                }
                return Ok(true);
            }
            undelivered::close(conn, execution, ExecutionStatus::Cancelled, &failure, now)
        })
        .await
}
