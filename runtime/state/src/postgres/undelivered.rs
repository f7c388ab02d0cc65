//! Executions that a door promised and that have not reached the inbox: they exist as an outbox row only.

use greenroom_contract::{Event, ExecutionId, execution::Failure, status::ExecutionStatus};
use sqlx::{PgConnection, postgres::PgRow};

use super::{calls, columns::Columns, fault::Job, inbox, options::Now};
use crate::{codec, raw::Undelivered};

/// Looks for the outbox row of an execution.
pub(super) async fn find(conn: &mut PgConnection, execution: ExecutionId) -> Job<Option<Undelivered>> {
    const SQL: &str = "SELECT agent, created_at, available_at, body FROM outbox WHERE execution_id = $1";
    let found = sqlx::query(SQL).bind(execution.as_bytes().as_slice()).fetch_optional(conn).await?;
    found.as_ref().map(read).transpose()
}

fn read(row: &PgRow) -> Job<Undelivered> {
    Ok(Undelivered {
        agent: row.word(0)?,
        created_at: row.get_at(1)?,
        available_at: row.get_at(2)?,
        body: row.stored(3)?,
    })
}

/// Ends an execution that has not reached the inbox: it gets its row there, ended, so that a delivery that still comes
/// is a duplicate. Returns whether there was one.
pub(super) async fn close(
    conn: &mut PgConnection,
    execution: ExecutionId,
    status: ExecutionStatus,
    failure: &Failure,
    now: Now,
) -> Job<bool> {
    const GONE: &str = "DELETE FROM outbox WHERE execution_id = $1 RETURNING agent, created_at, available_at, body";
    let gone = sqlx::query(GONE).bind(execution.as_bytes().as_slice()).fetch_optional(&mut *conn).await?;
    let Some(found) = gone.as_ref().map(read).transpose()? else { return Ok(false) };
    calls::end_without_answer(conn, execution, status, failure, now).await?;
    // An event that cannot be read has no place among the executions; the dead letters keep its bytes.
    let Ok(event) = codec::decode_json::<Event>(found.body.clone()) else { return Ok(true) };
    let event = (&event, found.body);
    inbox::insert_ended(conn, &found.agent, event, (status, failure), found.created_at, now).await
}
