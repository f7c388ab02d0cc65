//! Executions that a door promised and that have not reached the inbox: they exist as an outbox row only.

use greenroom_contract::{Event, ExecutionId, execution::Failure, status::ExecutionStatus};
use rusqlite::{Connection, OptionalExtension};

use super::{
    calls,
    columns::Word,
    inbox::NewExecution,
    job::{Job, run},
};
use crate::{codec, raw::Undelivered};

/// Looks for the outbox row of an execution.
pub(super) fn find(conn: &Connection, execution: ExecutionId) -> rusqlite::Result<Option<Undelivered>> {
    const SQL: &str = "SELECT agent, created_at, available_at, body FROM outbox WHERE execution_id = ?1";
    conn.prepare_cached(SQL)?
        .query_row([execution.as_bytes()], |row| {
            Ok(Undelivered {
                agent: row.get::<_, Word<_>>(0)?.0,
                created_at: row.get(1)?,
                available_at: row.get(2)?,
                body: row.get(3)?,
            })
        })
        .optional()
}

/// Ends an execution that has not reached the inbox: it gets its row there, ended, so that a delivery that still comes
/// is a duplicate. Returns whether there was one.
pub(super) fn close(
    conn: &Connection,
    execution: ExecutionId,
    status: ExecutionStatus,
    failure: &Failure,
    now: i64,
) -> Job<bool> {
    const GONE: &str = "DELETE FROM outbox WHERE execution_id = ?1";
    let Some(found) = find(conn, execution)? else { return Ok(false) };
    run(conn, GONE, [execution.as_bytes()])?;
    calls::end_without_answer(conn, execution, status, failure, now)?;
    // An event that cannot be read has no place among the executions; the dead letters keep its bytes.
    let Ok(event) = codec::decode_json::<Event>(found.body.clone()) else { return Ok(true) };
    let closed = NewExecution {
        agent: &found.agent,
        version: "",
        event: &event,
        stored: &found.body,
        status,
        node: None,
        created_at: found.created_at,
        ended: Some((now, failure)),
    };
    Ok(closed.insert(conn)?)
}
