//! The door: a command or event comes in and is durable in the outbox before anybody is told so.

use std::sync::Arc;

use greenroom_contract::{
    Event,
    port::state::{Result, Submission, Submitted},
};
use sqlx::PgConnection;

use super::{
    ask::{calling, key},
    columns::Columns,
    fault::{Fault, Job},
    row,
    store::PostgresState,
};
use crate::{
    codec::{self, Stored},
    refusal::{conflict, corrupt},
    row::NewRow,
};

pub(super) async fn submit(store: &PostgresState, Submission { event, agent }: Submission) -> Result<Submitted> {
    let mandatory = agent.is_some();
    let row = Arc::new(NewRow::event(&event, agent, mandatory)?);
    let event_id = event.event_id;
    let call = calling::<Option<Stored>, _>(move |conn, now| {
        let row = Arc::clone(&row);
        Box::pin(async move {
            if row::insert_unseen(&row, conn, now).await? {
                return Ok(None);
            }
            match seen(&row, conn).await? {
                Some(first) => Ok(Some(first)),
                // It was published, as a fact, between the two statements: as if it had never been seen.
                None => Err(Fault::Again("an event went while it was looked for".to_owned())),
            }
        })
    });
    let Some(first) = store.statement(key(event_id.as_bytes()), call).await? else {
        return Ok(Submitted { event, repeated: false });
    };
    let first: Event = codec::decode_json(first).map_err(corrupt(format_args!("event {event_id}")))?;
    if first.payload != event.payload {
        return Err(conflict(format!("the idempotency key of event {event_id} was used for another request")));
    }
    Ok(Submitted { event: first, repeated: true })
}

/// The event as it was first submitted under this topic: it waits in the outbox or is in an inbox.
async fn seen(row: &NewRow, conn: &mut PgConnection) -> Job<Option<Stored>> {
    const SQL: &str = "SELECT body FROM outbox WHERE event_id = $1 AND topic = $2 \
         UNION ALL SELECT event FROM executions WHERE event_id = $1 AND event_type = $2 LIMIT 1";
    let event = row.event_id.as_ref().map(|id| id.as_bytes().as_slice());
    let found = sqlx::query(SQL).bind(event).bind(row.topic.as_str()).fetch_optional(conn).await?;
    found.map(|found| found.stored(0)).transpose()
}
