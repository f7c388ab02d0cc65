//! Questions about executions.

use greenroom_contract::{
    EventId, ExecutionId, MicroUsd, NodeId, Priority,
    execution::{Execution, Step},
    page::{Page, PageRequest},
    port::state::{ExecutionFilter, Result},
    status::ExecutionStatus,
};
use sqlx::{AssertSqlSafe, PgConnection, postgres::PgRow};

use super::{ask::calling, columns::Columns, fault::Job, steps, store::PostgresState, undelivered};
use crate::{
    page::List,
    raw::{RawExecution, RawStep, Undelivered, open_steps},
    refusal::corrupt,
};

const LIST: List = List('e');

/// Where the columns of a step begin in `execution.sql`.
const STEP: usize = 23;

const SELECT: &str = "SELECT seq, id, agent, event_id, event_type, trace_id, status, attempt, epoch, crashes, node, \
         priority, source, error_code, error_message, created_at, started_at, finished_at, available_at, \
         (SELECT sum(cost)::bigint FROM steps WHERE execution = executions.seq), \
         (SELECT sum(cost * replays)::bigint FROM steps WHERE execution = executions.seq AND replays > 0), \
         event, output \
     FROM executions";

enum Found {
    Nothing,
    Undelivered(Undelivered),
    Arrived(Box<RawExecution>, Vec<RawStep>),
}

pub(super) async fn execution(store: &PostgresState, id: ExecutionId) -> Result<Option<Execution>> {
    let call = calling::<Found, _>(move |conn, _| {
        Box::pin(async move {
            // An event passes from the outbox to the inbox and never back: who looks there, and there, and there again
            // needs no common view of both, which would take two round trips more.
            if let Some(arrived) = arrived(conn, id).await? {
                return Ok(arrived);
            }
            if let Some(row) = undelivered::find(conn, id).await? {
                return Ok(Found::Undelivered(row));
            }
            Ok(arrived(conn, id).await?.unwrap_or(Found::Nothing))
        })
    });
    match store.read(call).await? {
        Found::Nothing => Ok(None),
        Found::Undelivered(row) => row.show(id).map(Some).map_err(corrupt(format_args!("execution {id}"))),
        Found::Arrived(row, journal) => {
            let steps = open_steps(id, journal)?;
            Ok(Some(Execution { steps: Some(steps), ..row.open().1 }))
        }
    }
}

/// One statement for the execution and its journal, because nearly every caller waits for both.
async fn arrived(conn: &mut PgConnection, id: ExecutionId) -> Job<Option<Found>> {
    const SQL: &str = include_str!("statements/execution.sql");
    let rows = sqlx::query(SQL).bind(id.as_bytes().as_slice()).fetch_all(conn).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let mut execution = read(first)?;
    let mut journal = Vec::with_capacity(rows.len());
    for row in &rows {
        // An execution without a step is a row all the same.
        if row.get_at::<Option<i32>>(STEP)?.is_some() {
            journal.push(steps::read(row, STEP)?);
        }
    }
    let costs = || journal.iter().filter_map(|raw| Some((raw.step.cost?.0, i64::from(raw.step.replays))));
    let sum = |costs: Vec<i64>| (!costs.is_empty()).then(|| MicroUsd(costs.iter().sum()));
    execution.shown.cost = sum(costs().map(|(cost, _)| cost).collect());
    execution.shown.saved =
        sum(costs().filter(|(_, replays)| *replays > 0).map(|(cost, replays)| cost * replays).collect());
    Ok(Some(Found::Arrived(Box::new(execution), journal)))
}

pub(super) async fn steps(store: &PostgresState, id: ExecutionId) -> Result<Vec<Step>> {
    const ROW: &str = "SELECT seq FROM executions WHERE id = $1";
    let call = calling::<Vec<RawStep>, _>(move |conn, _| {
        Box::pin(async move {
            let row = sqlx::query(ROW).bind(id.as_bytes().as_slice()).fetch_optional(&mut *conn).await?;
            match row {
                Some(row) => steps::all(conn, row.get_at(0)?).await,
                None => Ok(Vec::new()),
            }
        })
    });
    open_steps(id, store.read(call).await?)
}

pub(super) async fn executions(
    store: &PostgresState,
    filter: ExecutionFilter,
    page: PageRequest,
) -> Result<Page<Execution>> {
    let wanted = LIST.wanted(&page)?;
    let rows = wanted.rows;
    let call = calling::<Vec<RawExecution>, _>(move |conn, _| {
        let filter = filter.clone();
        Box::pin(async move {
            let status: Vec<_> = filter.status.iter().map(|status| status.as_str()).collect();
            let query = sqlx::query(AssertSqlSafe(list_query(&filter)))
                .bind(wanted.below)
                .bind(i64::from(rows))
                .bind(filter.agent.as_ref().map(|agent| agent.as_str()))
                .bind(filter.trace_id.map(|trace| trace.to_string()))
                .bind(status);
            query.fetch_all(conn).await?.iter().map(read).collect()
        })
    });
    let found = store.read(call).await?;
    Ok(LIST.page(found.into_iter().map(RawExecution::open).collect(), rows))
}

/// The question for a filter: each has the same parameters, so that each is planned for itself.
fn list_query(filter: &ExecutionFilter) -> String {
    let mut sql = format!("{SELECT} WHERE seq < $1 AND ($3::text IS NULL OR true) AND ($4::text IS NULL OR true)");
    // Unfinished executions are few among many: they have an index of their own.
    if !filter.status.is_empty() && filter.status.iter().all(|status| !status.is_final()) {
        sql.push_str(" AND finished_at IS NULL");
    }
    if filter.agent.is_some() {
        sql.push_str(" AND agent = $3");
    }
    if filter.trace_id.is_some() {
        sql.push_str(" AND trace_id = $4");
    }
    sql.push_str(if filter.status.is_empty() { " AND $5::text[] IS NOT NULL" } else { " AND status = ANY($5)" });
    sql.push_str(" ORDER BY seq DESC LIMIT $2");
    sql
}

fn read(row: &PgRow) -> Job<RawExecution> {
    let status: ExecutionStatus = row.word(6)?;
    let priority: i16 = row.get_at(11)?;
    let shown = Execution {
        id: ExecutionId::from_bytes(row.id(1)?),
        agent: row.word(2)?,
        event_id: EventId::from_bytes(row.id(3)?),
        event_type: row.get_at(4)?,
        trace_id: row.word(5)?,
        status,
        attempt: row.small(7)?,
        epoch: row.count(8)?,
        crashes: row.small(9)?,
        node: row.get_at::<Option<&str>>(10)?.map(NodeId::new),
        priority: Priority::from_u8(u8::try_from(priority).unwrap_or(u8::MAX)),
        source: row.get_at(12)?,
        input: serde_json::Value::Null,
        output: None,
        error: row.failure(13)?,
        cost: row.get_at::<Option<i64>>(19)?.map(MicroUsd),
        saved: row.get_at::<Option<i64>>(20)?.map(MicroUsd),
        created_at: row.time(15)?,
        started_at: row.maybe_time(16)?,
        finished_at: row.maybe_time(17)?,
        available_at: if status == ExecutionStatus::Queued { row.maybe_time(18)? } else { None },
        steps: None,
    };
    Ok(RawExecution { seq: row.get_at(0)?, shown, event: row.stored(21)?, output: row.maybe_stored(22)? })
}
