//! The door: a command or event comes in and is durable in the outbox before anybody is told so.

use greenroom_contract::{
    Event, EventId,
    port::state::{Result, Submission, Submitted},
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{job::refuse, store::SqliteState};
use crate::{
    codec::{self, Stored},
    refusal::{conflict, corrupt, forgotten},
    row::NewRow,
};

pub(super) async fn submit(store: &SqliteState, Submission { event, agent }: Submission) -> Result<Submitted> {
    let now = store.now();
    let mandatory = agent.is_some();
    let row = NewRow::event(&event, agent, mandatory)?;
    let event_id = event.event_id;
    let topic = event.event_type.clone();
    let first = store
        .write(move |conn| {
            if row.insert_unseen(conn, now)? {
                return Ok(None);
            }
            match seen(conn, event_id, &topic)? {
                Some(first) => Ok(Some(first)),
                None => refuse(forgotten(event_id)),
            }
        })
        .await?;
    let Some(first) = first else { return Ok(Submitted { event, repeated: false }) };
    let first: Event = codec::decode_json(first).map_err(corrupt(format_args!("event {event_id}")))?;
    if first.payload != event.payload {
        return Err(conflict(format!("the idempotency key of event {event_id} was used for another request")));
    }
    Ok(Submitted { event: first, repeated: true })
}

/// The event as it was first submitted under this topic: it waits in the outbox or is in an inbox.
fn seen(conn: &Connection, event: EventId, topic: &str) -> rusqlite::Result<Option<Stored>> {
    const SQL: &str = "SELECT body FROM outbox WHERE event_id = ?1 AND topic = ?2 \
         UNION ALL SELECT event FROM executions WHERE event_id = ?1 AND event_type = ?2 LIMIT 1";
    conn.prepare_cached(SQL)?.query_row(params![event.as_bytes(), topic], |row| row.get(0)).optional()
}
