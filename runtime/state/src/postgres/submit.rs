//! The door: a command or event comes in and is durable in the outbox before anybody is told so.

use std::{collections::HashMap, sync::Arc};

use greenroom_contract::{
    AgentId, BoxFuture, Event, EventId, ExecutionId, NodeId,
    port::state::{OutboxId, Result, Submission, Submitted},
};
use sqlx::PgConnection;

use super::{
    ask::{Ask, Batched, Waiting, calling, key},
    columns::Columns,
    fault::{Fault, Job},
    options::Now,
    relay::HANDED_MS,
    row,
    store::PostgresState,
};
use crate::{
    codec::{self, Stored},
    refusal::{conflict, corrupt, forgotten},
    row::{EVENT, NewRow},
};

/// A submission, ready to be written with others.
pub(super) struct Submitting {
    row: Arc<NewRow>,
    event_id: EventId,
    execution: Option<ExecutionId>,
    body: Vec<u8>,
    node: Option<NodeId>,
}

/// Submits, and gives the new row to the relay of `node`, if one is named. Says which row it is if it is leased to it at once.
pub(super) async fn submit(
    store: &PostgresState,
    Submission { event, agent }: Submission,
    node: Option<NodeId>,
) -> Result<(Submitted, Option<OutboxId>)> {
    let mandatory = agent.is_some();
    let row = Arc::new(NewRow::event(&event, agent, mandatory)?);
    let event_id = event.event_id;
    let (execution, body) = (row.execution(), row.body.clone().into_bytes());
    let request = Submitting { row: Arc::clone(&row), event_id, execution, body, node };
    let lane = store.lane(key(event_id.as_bytes()));
    if let Some((id, leased)) = lane.ask(|reply| Waiting::Submit(Ask { request, reply })).await? {
        return Ok((Submitted { event, repeated: false }, leased.then_some(id)));
    }
    // It was seen before, or goes just now: what became of it is found out alone.
    let call = calling::<Option<Stored>, _>(move |conn, now| {
        let row = Arc::clone(&row);
        Box::pin(async move {
            if row::insert_unseen(&row, &mut *conn, now).await? {
                return Ok(None);
            }
            match seen(&row, &mut *conn).await? {
                Some(first) => Ok(Some(first)),
                None if is_forgotten(&row, conn).await? => Err(forgotten(event_id).into()),
                // It was published, as a fact, between the two statements: as if it had never been seen.
                None => Err(Fault::Again("an event went while it was looked for".to_owned())),
            }
        })
    });
    let Some(first) = store.statement(key(event_id.as_bytes()), call).await? else {
        return Ok((Submitted { event, repeated: false }, None));
    };
    let first: Event = codec::decode_json(first).map_err(corrupt(format_args!("event {event_id}")))?;
    if first.payload != event.payload {
        return Err(conflict(format!("the idempotency key of event {event_id} was used for another request")));
    }
    Ok((Submitted { event: first, repeated: true }, None))
}

impl Batched for Submitting {
    /// The row's id, if it was written, and whether it is leased.
    type Done = Option<(OutboxId, bool)>;

    fn keys(&self) -> Vec<u64> {
        vec![key(self.event_id.as_bytes())]
    }

    fn run<'a>(batch: &'a [Self], conn: &'a mut PgConnection, now: Now) -> BoxFuture<'a, Job<Vec<Result<Self::Done>>>> {
        Box::pin(write(batch, conn, now))
    }
}

async fn write(batch: &[Submitting], conn: &mut PgConnection, now: Now) -> Job<Vec<Result<Option<(OutboxId, bool)>>>> {
    const SQL: &str = include_str!("statements/submit.sql");
    let rows = || batch.iter().map(|one| &one.row);
    let written = sqlx::query(SQL)
        .bind(now)
        .bind(EVENT)
        .bind(batch.iter().map(|one| one.event_id.as_bytes().as_slice()).collect::<Vec<_>>())
        .bind(batch.iter().map(|one| Some(one.execution.as_ref()?.as_bytes().as_slice())).collect::<Vec<_>>())
        .bind(rows().map(|row| row.agent.as_ref().map(AgentId::as_str)).collect::<Vec<_>>())
        .bind(rows().map(|row| row.topic.as_str()).collect::<Vec<_>>())
        .bind(rows().map(|row| row.mandatory).collect::<Vec<_>>())
        .bind(rows().map(|row| row.trace_id.to_string()).collect::<Vec<_>>())
        .bind(batch.iter().map(|one| one.body.as_slice()).collect::<Vec<_>>())
        .bind(batch.iter().map(|one| one.node.as_ref().map(NodeId::as_str)).collect::<Vec<_>>())
        .bind(HANDED_MS)
        .fetch_all(conn)
        .await?;
    // No two of a batch have one event: their keys would be the same.
    let written: HashMap<[u8; 16], (OutboxId, bool)> =
        written.iter().map(|row| Ok((row.id(0)?, (OutboxId(row.get_at(1)?), row.get_at(2)?)))).collect::<Job<_>>()?;
    Ok(batch.iter().map(|one| Ok(written.get(one.event_id.as_bytes()).copied())).collect())
}

/// The event as it was first submitted under this topic: it waits in the outbox or is in an inbox.
async fn seen(row: &NewRow, conn: &mut PgConnection) -> Job<Option<Stored>> {
    const SQL: &str = "SELECT body FROM outbox WHERE event_id = $1 AND topic = $2 \
         UNION ALL SELECT event FROM executions WHERE event_id = $1 AND event_type = $2 LIMIT 1";
    let event = row.event_id.as_ref().map(|id| id.as_bytes().as_slice());
    let found = sqlx::query(SQL).bind(event).bind(row.topic.as_str()).fetch_optional(conn).await?;
    found.map(|found| found.stored(0)).transpose()
}

/// Whether the execution that the row would promise was had and deleted.
async fn is_forgotten(row: &NewRow, conn: &mut PgConnection) -> Job<bool> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM swept WHERE id = $1)";
    let execution = row.execution();
    let id = execution.as_ref().map(|id| id.as_bytes().as_slice());
    Ok(sqlx::query_scalar(SQL).bind(id).fetch_one(conn).await?)
}
