//! The door: a command or event comes in and is durable in the outbox before anybody is told so.

use greenroom_contract::{
    Event, EventId, NodeId,
    port::state::{OutboxId, Result, Submission, Submitted},
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{job::refuse, row::Written, store::SqliteState};
use crate::{
    codec::{self, Stored},
    refusal::{conflict, corrupt, forgotten},
    row::NewRow,
};

/// What became of a submission: its new row, or the event that came before.
enum Found {
    New(Written),
    First(Stored),
}

/// Submits, and gives the new row to the relay of `node`, if one is named. Says which row it is if it is leased to it at once.
pub(super) async fn submit(
    store: &SqliteState,
    Submission { event, agent }: Submission,
    node: Option<NodeId>,
) -> Result<(Submitted, Option<OutboxId>)> {
    let now = store.now();
    let mandatory = agent.is_some();
    let row = NewRow::event(&event, agent, mandatory)?;
    let event_id = event.event_id;
    let topic = event.event_type.clone();
    let found = store
        .write(move |conn| {
            if let Some(written) = row.insert_unseen(conn, node.as_ref(), now)? {
                return Ok(Found::New(written));
            }
            match seen(conn, event_id, &topic)? {
                Some(first) => Ok(Found::First(first)),
                None => refuse(forgotten(event_id)),
            }
        })
        .await?;
    let first = match found {
        Found::New(written) => return Ok((Submitted { event, repeated: false }, written.leased())),
        Found::First(first) => first,
    };
    let first: Event = codec::decode_json(first).map_err(corrupt(format_args!("event {event_id}")))?;
    if first.payload != event.payload {
        return Err(conflict(format!("the idempotency key of event {event_id} was used for another request")));
    }
    Ok((Submitted { event: first, repeated: true }, None))
}

/// The event as it was first submitted under this topic: it waits in the outbox or is in an inbox.
fn seen(conn: &Connection, event: EventId, topic: &str) -> rusqlite::Result<Option<Stored>> {
    const SQL: &str = "SELECT body FROM outbox WHERE event_id = ?1 AND topic = ?2 \
         UNION ALL SELECT event FROM executions WHERE event_id = ?1 AND event_type = ?2 LIMIT 1";
    conn.prepare_cached(SQL)?.query_row(params![event.as_bytes(), topic], |row| row.get(0)).optional()
}
