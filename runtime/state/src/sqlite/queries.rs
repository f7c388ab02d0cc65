//! Questions about executions.

use greenroom_contract::{
    AgentId, EventId, ExecutionId, MicroUsd, NodeId, Priority,
    clock::from_millis,
    execution::{Execution, Step},
    page::{Page, PageRequest},
    port::state::{ExecutionFilter, Result},
    status::ExecutionStatus,
};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params_from_iter};

use super::{
    columns::{Word, count, failure},
    steps,
    store::SqliteState,
    undelivered,
};
use crate::{
    page::List,
    raw::{RawExecution, RawStep, Undelivered, open_steps},
    refusal::corrupt,
};

const LIST: List = List('e');

const SELECT: &str = "SELECT seq, id, agent, event_id, event_type, trace_id, status, attempt, epoch, crashes, node, \
         priority, source, error_code, error_message, created_at, started_at, finished_at, available_at, \
         (SELECT sum(cost) FROM steps WHERE execution = executions.seq), \
         (SELECT sum(cost * replays) FROM steps WHERE execution = executions.seq AND replays > 0), \
         event, output \
     FROM executions";

pub(super) async fn execution(store: &SqliteState, id: ExecutionId) -> Result<Option<Execution>> {
    enum Found {
        Nothing,
        Undelivered(Undelivered),
        Arrived(Box<RawExecution>, Vec<RawStep>),
    }
    let found = store
        .read(move |conn| {
            // One view of both places: between two, the event could pass from the outbox to the inbox unseen.
            let view = conn.unchecked_transaction()?;
            let Some(arrived) = arrived(&view, id)? else {
                return Ok(undelivered::find(&view, id)?.map_or(Found::Nothing, Found::Undelivered));
            };
            let journal = steps::all(&view, arrived.seq)?;
            Ok(Found::Arrived(Box::new(arrived), journal))
        })
        .await?;
    match found {
        Found::Nothing => Ok(None),
        Found::Undelivered(row) => row.show(id).map(Some).map_err(corrupt(format_args!("execution {id}"))),
        Found::Arrived(row, journal) => {
            let steps = open_steps(id, journal)?;
            Ok(Some(Execution { steps: Some(steps), ..row.open().1 }))
        }
    }
}

fn arrived(conn: &Connection, id: ExecutionId) -> rusqlite::Result<Option<RawExecution>> {
    let sql = format!("{SELECT} WHERE id = ?1");
    conn.prepare_cached(&sql)?.query_row([id.as_bytes()], read).optional()
}

pub(super) async fn steps(store: &SqliteState, id: ExecutionId) -> Result<Vec<Step>> {
    const ROW: &str = "SELECT seq FROM executions WHERE id = ?1";
    let journal = store
        .read(move |conn| {
            let row: Option<i64> = conn.prepare_cached(ROW)?.query_row([id.as_bytes()], |row| row.get(0)).optional()?;
            Ok(row.map(|row| steps::all(conn, row)).transpose()?.unwrap_or_default())
        })
        .await?;
    open_steps(id, journal)
}

pub(super) async fn executions(
    store: &SqliteState,
    filter: ExecutionFilter,
    page: PageRequest,
) -> Result<Page<Execution>> {
    let wanted = LIST.wanted(&page)?;
    let (sql, mut values) = list_query(&filter);
    values.push(Box::new(wanted.below));
    values.push(Box::new(wanted.rows));
    let rows: Vec<RawExecution> = store
        .read(move |conn| {
            let mut statement = conn.prepare_cached(&sql)?;
            let rows = statement.query_map(params_from_iter(values), read)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await?;
    Ok(LIST.page(rows.into_iter().map(RawExecution::open).collect(), wanted.rows))
}

/// The question for a filter, without the values of its last two places, and the values of the others.
fn list_query(filter: &ExecutionFilter) -> (String, Vec<Box<dyn ToSql + Send>>) {
    let mut values: Vec<Box<dyn ToSql + Send>> = Vec::new();
    // Unfinished executions are few among many: they have an index of their own.
    let unfinished = !filter.status.is_empty() && filter.status.iter().all(|status| !status.is_final());
    let mut sql = if unfinished && filter.trace_id.is_none() {
        format!("{SELECT} INDEXED BY executions_unfinished WHERE finished_at IS NULL")
    } else {
        format!("{SELECT} WHERE 1")
    };
    if let Some(agent) = &filter.agent {
        sql.push_str(" AND agent = ?");
        values.push(Box::new(agent.as_str().to_owned()));
    }
    if let Some(trace) = filter.trace_id {
        sql.push_str(" AND trace_id = ?");
        values.push(Box::new(trace.to_string()));
    }
    if !filter.status.is_empty() {
        let places = vec!["?"; filter.status.len()].join(", ");
        sql.push_str(&format!(" AND status IN ({places})"));
        values.extend(filter.status.iter().map(|status| Box::new(status.as_str()) as Box<dyn ToSql + Send>));
    }
    sql.push_str(" AND seq < ? ORDER BY seq DESC LIMIT ? + 0");
    (sql, values)
}

fn read(row: &Row<'_>) -> rusqlite::Result<RawExecution> {
    let status: ExecutionStatus = row.get::<_, Word<_>>(6)?.0;
    let time = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(from_millis));
    let shown = Execution {
        id: ExecutionId::from_bytes(row.get(1)?),
        agent: row.get::<_, Word<AgentId>>(2)?.0,
        event_id: EventId::from_bytes(row.get(3)?),
        event_type: row.get(4)?,
        trace_id: row.get::<_, Word<_>>(5)?.0,
        status,
        attempt: row.get(7)?,
        epoch: count(row, 8)?,
        crashes: row.get(9)?,
        node: row.get::<_, Option<String>>(10)?.map(|node| NodeId::new(&node)),
        priority: Priority::from_u8(row.get(11)?),
        source: row.get(12)?,
        input: serde_json::Value::Null,
        output: None,
        error: failure(row, 13)?,
        cost: row.get::<_, Option<i64>>(19)?.map(MicroUsd),
        saved: row.get::<_, Option<i64>>(20)?.map(MicroUsd),
        created_at: from_millis(row.get(15)?),
        started_at: time(16)?,
        finished_at: time(17)?,
        available_at: if status == ExecutionStatus::Queued { time(18)? } else { None },
        steps: None,
    };
    Ok(RawExecution { seq: row.get(0)?, shown, event: row.get(21)?, output: row.get(22)? })
}
