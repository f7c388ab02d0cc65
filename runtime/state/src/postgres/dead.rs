//! Dead letters: what could not be done, kept with its way home.

use std::sync::Arc;

use greenroom_contract::{
    AgentId, ExecutionId, NodeId,
    execution::{DeadLetter, Failure},
    page::{Page, PageRequest},
    port::state::{DeadLetterFilter, Error, NewDeadLetter, Replayed, Result},
    status::ExecutionStatus,
};
use sqlx::{AssertSqlSafe, PgConnection, postgres::PgRow};

use super::{
    ask::{calling, key},
    columns::{Columns, int4},
    fault::Job,
    options::Now,
    row,
    store::PostgresState,
    undelivered,
};
use crate::{
    codec::Stored,
    letter::{Again, FromBus, Kept, Letter, told},
    page::List,
    raw::RawLetter,
};

const LIST: List = List('d');

/// Writes the letter and returns its id; the id that it has already, if its hash was written before.
pub(super) async fn insert(
    letter: &Letter,
    conn: &mut PgConnection,
    reason: &Failure,
    body: Stored,
    now: Now,
) -> Job<i64> {
    const SQL: &str = "INSERT INTO dead_letters (agent, queue, execution_id, trace_id, reason_code, reason_message, \
             attempts, node, first_at, dead_at, hash, body) \
         VALUES ($2, $3, $4, $5, $6, $7, $8, $9, $10, now_ms($1), $11, $12) \
         ON CONFLICT (hash) WHERE hash IS NOT NULL DO UPDATE SET hash = excluded.hash RETURNING id";
    let row = sqlx::query(SQL)
        .bind(now)
        .bind(letter.agent.as_ref().map(AgentId::as_str))
        .bind(&letter.queue)
        .bind(letter.execution.as_ref().map(|id| id.as_bytes().as_slice()))
        .bind(letter.trace_id.map(|trace| trace.to_string()))
        .bind(&reason.code)
        .bind(&reason.message)
        .bind(int4(letter.attempts))
        .bind(&letter.node)
        .bind(letter.first_at)
        .bind(letter.hash.as_ref().map(<[u8; 32]>::as_slice))
        .bind(body.into_bytes())
        .fetch_one(conn)
        .await?;
    row.get_at(0)
}

/// Writes the dead letter of an execution that is given up, and tells of it on the bus.
pub(super) async fn bury(conn: &mut PgConnection, id: ExecutionId, reason: &Failure, now: Now) -> Job<()> {
    const SQL: &str = "INSERT INTO dead_letters (agent, queue, execution_id, trace_id, reason_code, reason_message, \
             attempts, node, first_at, dead_at, body) \
         SELECT agent, 'agent.input.' || agent, id, trace_id, $3, $4, attempt, node, created_at, now_ms($1), event \
         FROM executions WHERE id = $2 RETURNING trace_id, agent, attempts, dead_at";
    let buried = sqlx::query(SQL)
        .bind(now)
        .bind(id.as_bytes().as_slice())
        .bind(&reason.code)
        .bind(&reason.message)
        .fetch_one(&mut *conn)
        .await?;
    let told = told(buried.get_at(1)?, id, buried.small(2)?, buried.word(0)?, reason, buried.get_at(3)?)?;
    row::insert(&told, conn, now).await
}

pub(super) async fn record(store: &PostgresState, letter: NewDeadLetter) -> Result<i64> {
    // A command that died on the bus reaches no inbox any more: its outbox row goes with the letter's arrival here.
    const ARRIVED: &str = "DELETE FROM outbox WHERE event_id = $1 AND mandatory AND topic = $2";
    let from_bus = Arc::new(FromBus::new(letter));
    let lane = from_bus.execution.as_ref().map_or_else(|| key(&from_bus.letter.queue), |id| key(id.as_bytes()));
    let call = calling::<i64, _>(move |conn, now| {
        let from_bus = Arc::clone(&from_bus);
        Box::pin(async move {
            let FromBus { letter, reason, body, event_id, execution } = &*from_bus;
            let mut closed = None;
            if let Some(execution) = execution
                && undelivered::close(conn, *execution, ExecutionStatus::Dead, reason, now).await?
            {
                closed = Some(*execution);
            }
            if let Some(event_id) = event_id {
                let query = sqlx::query(ARRIVED).bind(event_id.as_bytes().as_slice()).bind(&letter.queue);
                query.execute(&mut *conn).await?;
            }
            let letter = Letter { execution: closed, ..letter.clone() };
            insert(&letter, conn, reason, body.clone(), now).await
        })
    });
    store.transaction(vec![lane], call).await
}

const SELECT: &str = "SELECT id, agent, queue, execution_id, trace_id, reason_code, reason_message, attempts, node, \
         first_at, dead_at, replayed_at, replayed_as, body FROM dead_letters";

pub(super) async fn list(
    store: &PostgresState,
    filter: DeadLetterFilter,
    page: PageRequest,
) -> Result<Page<DeadLetter>> {
    let wanted = LIST.wanted(&page)?;
    let rows = wanted.rows;
    let call = calling::<Vec<RawLetter>, _>(move |conn, _| {
        let agent = filter.agent.as_ref().map(|agent| agent.as_str().to_owned());
        Box::pin(async move {
            let sql = format!(
                "{SELECT} WHERE id < $1 AND ($2::text IS NULL OR agent = $2) AND ($3 OR replayed_at IS NULL) \
                 ORDER BY id DESC LIMIT $4"
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(wanted.below).bind(agent).bind(filter.replayed);
            query.bind(i64::from(rows)).fetch_all(conn).await?.iter().map(read).collect()
        })
    });
    let letters = store.read(call).await?.into_iter().map(|letter| (letter.shown.id, letter.open())).collect();
    Ok(LIST.page(letters, rows))
}

pub(super) async fn one(store: &PostgresState, id: i64) -> Result<Option<DeadLetter>> {
    let call = calling::<Option<RawLetter>, _>(move |conn, _| {
        Box::pin(async move {
            let query = sqlx::query(AssertSqlSafe(format!("{SELECT} WHERE id = $1"))).bind(id);
            query.fetch_optional(conn).await?.as_ref().map(read).transpose()
        })
    });
    Ok(store.read(call).await?.map(RawLetter::open))
}

fn read(row: &PgRow) -> Job<RawLetter> {
    let shown = DeadLetter {
        id: row.get_at(0)?,
        agent: row.maybe_word(1)?,
        queue: row.get_at(2)?,
        execution_id: row.maybe_id(3)?.map(ExecutionId::from_bytes),
        event: None,
        raw: None,
        trace_id: row.maybe_word(4)?,
        reason: Failure { code: row.get_at(5)?, message: row.get_at(6)? },
        attempts: row.small(7)?,
        node: row.get_at::<Option<&str>>(8)?.map(NodeId::new),
        first_at: row.time(9)?,
        dead_at: row.time(10)?,
        replayed_at: row.maybe_time(11)?,
        replayed_as: row.get_at(12)?,
    };
    Ok(RawLetter { shown, body: row.stored(13)? })
}

pub(super) async fn replay(store: &PostgresState, id: i64) -> Result<Replayed> {
    const FIND: &str =
        "SELECT agent, attempts, replayed_at, body, now_ms($1) FROM dead_letters WHERE id = $2 FOR UPDATE";
    const MARK: &str = "UPDATE dead_letters SET replayed_at = $2, replayed_as = $3 WHERE id = $1";
    let call = calling::<Replayed, _>(move |conn, now| {
        Box::pin(async move {
            let Some(found) = sqlx::query(FIND).bind(now).bind(id).fetch_optional(&mut *conn).await? else {
                return Err(Error::NotFound { what: format!("dead letter {id}") }.into());
            };
            let kept = Kept {
                agent: found.maybe_word(0)?,
                attempts: found.small(1)?,
                replayed_at: found.get_at(2)?,
                body: found.stored(3)?,
            };
            let at: i64 = found.get_at(4)?;
            let Again { row, carrier, replayed } = kept.again(id, at)?;
            row::insert(&row, conn, now).await?;
            sqlx::query(MARK).bind(id).bind(at).bind(carrier).execute(conn).await?;
            Ok(replayed)
        })
    });
    store.transaction(vec![key(("letter", id))], call).await
}

pub(super) async fn purge(store: &PostgresState, id: i64) -> Result<bool> {
    let call = calling::<bool, _>(move |conn, _| {
        Box::pin(async move {
            let done = sqlx::query("DELETE FROM dead_letters WHERE id = $1").bind(id).execute(conn).await?;
            Ok(done.rows_affected() > 0)
        })
    });
    store.statement(key(("letter", id)), call).await
}
