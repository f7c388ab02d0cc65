//! Dead letters: what could not be done, kept with its way home.

use greenroom_contract::{
    AgentId, ExecutionId, NodeId,
    clock::from_millis,
    execution::{DeadLetter, Failure},
    page::{Page, PageRequest},
    port::state::{DeadLetterFilter, Error, NewDeadLetter, Replayed, Result},
    status::ExecutionStatus,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    columns::Word,
    job::{Job, refuse, run},
    journal::Held,
    store::SqliteState,
    undelivered,
};
use crate::{
    codec::Stored,
    letter::{Again, FromBus, Kept, Letter, told},
    page::List,
    raw::RawLetter,
};

const LIST: List = List('d');
impl Letter {
    /// Writes the letter and returns its id; the id that it has already, if its hash was written before.
    pub(super) fn insert(&self, conn: &Connection, reason: &Failure, body: &Stored, now: i64) -> rusqlite::Result<i64> {
        const SQL: &str = "INSERT INTO dead_letters (agent, queue, execution_id, trace_id, reason_code, \
                 reason_message, attempts, node, first_at, dead_at, hash, body) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
             ON CONFLICT (hash) WHERE hash IS NOT NULL DO UPDATE SET hash = excluded.hash RETURNING id";
        conn.prepare_cached(SQL)?.query_row(
            params![
                self.agent.as_ref().map(AgentId::as_str),
                self.queue,
                self.execution.as_ref().map(ExecutionId::as_bytes),
                self.trace_id.map(|trace| trace.to_string()),
                reason.code,
                reason.message,
                self.attempts,
                self.node,
                self.first_at,
                now,
                self.hash,
                body,
            ],
            |row| row.get(0),
        )
    }
}

/// Writes the dead letter of an execution that is given up, and tells of it on the bus.
pub(super) fn bury(conn: &Connection, id: ExecutionId, held: &Held, reason: &Failure, now: i64) -> Job<()> {
    const SQL: &str = "INSERT INTO dead_letters (agent, queue, execution_id, trace_id, reason_code, reason_message, \
             attempts, node, first_at, dead_at, body) \
         SELECT agent, 'agent.input.' || agent, id, trace_id, ?2, ?3, attempt, node, created_at, ?4, event \
         FROM executions WHERE seq = ?1 RETURNING trace_id";
    let buried = params![held.seq, reason.code, reason.message, now];
    let Word(trace_id) = conn.prepare_cached(SQL)?.query_row(buried, |row| row.get(0))?;
    match told(&held.agent, id, held.attempt, trace_id, reason, now) {
        Ok(row) => Ok(row.insert(conn, None, now).map(drop)?),
        Err(error) => refuse(error),
    }
}

pub(super) async fn record(store: &SqliteState, letter: NewDeadLetter) -> Result<i64> {
    // A command that died on the bus reaches no inbox any more: its outbox row goes with the letter's arrival here.
    const ARRIVED: &str = "DELETE FROM outbox WHERE event_id = ?1 AND mandatory = 1 AND topic = ?2";
    let now = store.now();
    let FromBus { mut letter, reason, body, event_id, execution } = FromBus::new(letter);
    store
        .write(move |conn| {
            if let Some(execution) = execution
                && undelivered::close(conn, execution, ExecutionStatus::Dead, &reason, now)?
            {
                letter.execution = Some(execution);
            }
            if let Some(event_id) = event_id {
                run(conn, ARRIVED, params![event_id.as_bytes(), letter.queue])?;
            }
            Ok(letter.insert(conn, &reason, &body, now)?)
        })
        .await
}

const SELECT: &str = "SELECT id, agent, queue, execution_id, trace_id, reason_code, reason_message, attempts, node, \
         first_at, dead_at, replayed_at, replayed_as, body FROM dead_letters";

pub(super) async fn list(store: &SqliteState, filter: DeadLetterFilter, page: PageRequest) -> Result<Page<DeadLetter>> {
    let wanted = LIST.wanted(&page)?;
    let sql = format!(
        "{SELECT} WHERE id < ?1 AND (?2 IS NULL OR agent = ?2) AND (?3 OR replayed_at IS NULL) \
         ORDER BY id DESC LIMIT ?4 + 0"
    );
    let letters: Vec<RawLetter> = store
        .read(move |conn| {
            let agent = filter.agent.as_ref().map(AgentId::as_str);
            let mut statement = conn.prepare_cached(&sql)?;
            let rows = statement.query_map(params![wanted.below, agent, filter.replayed, wanted.rows], read)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await?;
    let letters = letters.into_iter().map(|letter| (letter.shown.id, letter.open())).collect();
    Ok(LIST.page(letters, wanted.rows))
}

pub(super) async fn one(store: &SqliteState, id: i64) -> Result<Option<DeadLetter>> {
    let sql = format!("{SELECT} WHERE id = ?1");
    let letter = store.read(move |conn| Ok(conn.prepare_cached(&sql)?.query_row([id], read).optional()?)).await?;
    Ok(letter.map(RawLetter::open))
}

fn read(row: &Row<'_>) -> rusqlite::Result<RawLetter> {
    let shown = DeadLetter {
        id: row.get(0)?,
        agent: row.get::<_, Option<Word<_>>>(1)?.map(|word| word.0),
        queue: row.get(2)?,
        execution_id: row.get::<_, Option<[u8; 16]>>(3)?.map(ExecutionId::from_bytes),
        event: None,
        raw: None,
        trace_id: row.get::<_, Option<Word<_>>>(4)?.map(|word| word.0),
        reason: Failure { code: row.get(5)?, message: row.get(6)? },
        attempts: row.get(7)?,
        node: row.get::<_, Option<String>>(8)?.map(|node| NodeId::new(&node)),
        first_at: from_millis(row.get(9)?),
        dead_at: from_millis(row.get(10)?),
        replayed_at: row.get::<_, Option<i64>>(11)?.map(from_millis),
        replayed_as: row.get(12)?,
    };
    Ok(RawLetter { shown, body: row.get(13)? })
}

pub(super) async fn replay(store: &SqliteState, id: i64) -> Result<Replayed> {
    let now = store.now();
    store.write(move |conn| send_again(conn, id, now)).await
}

fn send_again(conn: &Connection, id: i64, now: i64) -> Job<Replayed> {
    const FIND: &str = "SELECT agent, attempts, replayed_at, body FROM dead_letters WHERE id = ?1";
    const MARK: &str = "UPDATE dead_letters SET replayed_at = ?2, replayed_as = ?3 WHERE id = ?1";
    let found = conn
        .prepare_cached(FIND)?
        .query_row([id], |row| {
            Ok(Kept {
                agent: row.get::<_, Option<Word<AgentId>>>(0)?.map(|word| word.0),
                attempts: row.get(1)?,
                replayed_at: row.get(2)?,
                body: row.get(3)?,
            })
        })
        .optional()?;
    let Some(kept) = found else { return refuse(Error::NotFound { what: format!("dead letter {id}") }) };
    match kept.again(id, now) {
        Ok(Again { row, carrier, replayed }) => {
            row.insert(conn, None, now)?;
            run(conn, MARK, params![id, now, carrier])?;
            Ok(replayed)
        }
        Err(error) => refuse(error),
    }
}

pub(super) async fn purge(store: &SqliteState, id: i64) -> Result<bool> {
    store.write(move |conn| Ok(run(conn, "DELETE FROM dead_letters WHERE id = ?1", [id])? > 0)).await
}
