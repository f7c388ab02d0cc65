//! The outbox's other end: rows that are due, and what became of them.

use std::sync::Arc;

use greenroom_contract::{
    BoxFuture, Event, ExecutionId, NodeId, TraceId,
    execution::Failure,
    port::state::{OutboxId, OutboxOutcome, OutboxRow, Outgoing, PendingRow, Result, Wanted},
    status::ExecutionStatus,
};
use sqlx::{PgConnection, postgres::PgRow};

use super::{
    ask::{Ask, Batched, Waiting, calling, key},
    columns::{Columns, wait_ms},
    dead,
    fault::Job,
    options::Now,
    store::PostgresState,
    undelivered,
};
use crate::{
    codec::{self, Damaged, Stored},
    letter::{Letter, without_address},
    row::{EVENT, REPLY, ReplyBody, kind_of},
};

/// How long a relay has a row that it took before another may take it.
const LEASE_MS: i64 = 30_000;
/// How long it has a row that is handed to it with its commit: should nobody hear of that commit, the event is late by this.
/// The relay publishes such a row at once and has it marked half a second later. One that it holds for longer, because the
/// bus or the store is slow, is taken again by whoever looks first: by itself, which knows it and only holds it on, or by
/// another node, which publishes it once more; the inbox takes it once, as after a claim's lease.
pub(super) const HANDED_MS: i64 = 5_000;
/// The relay's calls go over one lane, so that they keep their order.
const OUTBOX: &str = "outbox";

struct Due {
    id: i64,
    kind: String,
    mandatory: bool,
    attempts: u32,
    trace_id: TraceId,
    body: Stored,
}

pub(super) async fn claim(store: &PostgresState, node: NodeId, wanted: Wanted, lost: bool) -> Result<Vec<OutboxRow>> {
    const LEASE: &str = include_str!("statements/lease.sql");
    let lane = key(OUTBOX);
    let (kind, limit) = kind_of(wanted);
    let call = calling::<Vec<Due>, _>(move |conn, now| {
        let node = node.clone();
        Box::pin(async move {
            let query = sqlx::query(LEASE).bind(now).bind(node.as_str()).bind(LEASE_MS).bind(i64::from(limit));
            let query = query.bind(lost).bind(kind);
            query.fetch_all(conn).await?.iter().map(Due::read).collect()
        })
    });
    let mut due = store.statement(lane, call).await?;
    due.sort_unstable_by_key(|row| row.id);
    let mut rows = Vec::with_capacity(due.len());
    let mut unreadable = Vec::new();
    for row in due {
        let (id, trace_id) = (OutboxId(row.id), row.trace_id);
        match row.open() {
            Ok(row) => rows.push(row),
            Err(error) => {
                tracing::error!(%error, %trace_id, outbox.id = id.0, "An outbox row cannot be read and becomes a dead letter.");
                unreadable.push((id, OutboxOutcome::Dead(Failure::new("unreadable", error.to_string()))));
            }
        }
    }
    if !unreadable.is_empty() {
        // One damaged row must not hold up the others.
        settle(store, unreadable).await?;
    }
    Ok(rows)
}

impl Due {
    fn read(row: &PgRow) -> Job<Self> {
        Ok(Self {
            id: row.get_at(0)?,
            kind: row.get_at(1)?,
            mandatory: row.get_at(2)?,
            attempts: row.small(3)?,
            trace_id: row.word(4)?,
            body: row.stored(5)?,
        })
    }

    fn open(self) -> Result<OutboxRow, Damaged> {
        let outgoing = if self.kind == REPLY {
            let ReplyBody { to, text, is_error, card } = codec::decode_json(self.body)?;
            Outgoing::Reply { to, text, is_error, card, trace_id: self.trace_id }
        } else {
            Outgoing::Event { event: codec::decode_json::<Event>(self.body)?, mandatory: self.mandatory }
        };
        Ok(OutboxRow { id: OutboxId(self.id), outgoing, attempts: self.attempts })
    }
}

/// The outcomes of one call of `settle_outbox`, none of them dead.
pub(super) struct Settlement(Vec<(OutboxId, OutboxOutcome)>);

pub(super) async fn settle(store: &PostgresState, outcomes: Vec<(OutboxId, OutboxOutcome)>) -> Result<()> {
    let lane = key(OUTBOX);
    if !outcomes.iter().any(|(_, outcome)| matches!(outcome, OutboxOutcome::Dead(_))) {
        let request = Settlement(outcomes);
        return store.lane(lane).ask(|reply| Waiting::Settle(Ask { request, reply })).await;
    }
    let keys = std::iter::once(lane).chain(outcomes.iter().map(|(id, _)| key(id))).collect();
    let outcomes = Arc::new([Settlement(outcomes)]);
    let call = calling::<(), _>(move |conn, now| {
        let outcomes = Arc::clone(&outcomes);
        Box::pin(async move {
            write(outcomes.as_slice(), conn, now).await?;
            for (id, outcome) in &outcomes[0].0 {
                if let OutboxOutcome::Dead(reason) = outcome {
                    bury(conn, id.0, reason, now).await?;
                }
            }
            Ok(())
        })
    });
    store.transaction(keys, call).await
}

impl Batched for Settlement {
    type Done = ();

    fn keys(&self) -> Vec<u64> {
        self.0.iter().map(|(id, _)| key(id)).collect()
    }

    fn run<'a>(batch: &'a [Self], conn: &'a mut PgConnection, now: Now) -> BoxFuture<'a, Job<Vec<Result<()>>>> {
        Box::pin(async move {
            write(batch, conn, now).await?;
            Ok(batch.iter().map(|_| Ok(())).collect())
        })
    }
}

async fn write(batch: &[Settlement], conn: &mut PgConnection, now: Now) -> Job<()> {
    const SQL: &str = include_str!("statements/settle_outbox.sql");
    let all = || batch.iter().flat_map(|settlement| &settlement.0);
    let word = |outcome: &OutboxOutcome| match outcome {
        OutboxOutcome::Published => "published",
        OutboxOutcome::Delivered => "delivered",
        OutboxOutcome::Retry { .. } => "retry",
        OutboxOutcome::Dead(_) => "dead",
    };
    let retry = |outcome: &OutboxOutcome| match outcome {
        OutboxOutcome::Retry { after, reason } => (Some(wait_ms(*after)), Some(reason.clone())),
        _ => (None, None),
    };
    sqlx::query(SQL)
        .bind(now)
        .bind(all().map(|(id, _)| id.0).collect::<Vec<_>>())
        .bind(all().map(|(_, outcome)| word(outcome)).collect::<Vec<_>>())
        .bind(all().map(|(_, outcome)| retry(outcome).0).collect::<Vec<_>>())
        .bind(all().map(|(_, outcome)| retry(outcome).1).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(())
}

/// Makes a dead letter of a row. The execution that a door promised for it ends as `dead`.
async fn bury(conn: &mut PgConnection, id: i64, reason: &Failure, now: Now) -> Job<()> {
    const SQL: &str = "SELECT kind, topic, agent, execution_id, trace_id, attempts, lease_owner, created_at, body \
         FROM outbox WHERE id = $1 FOR UPDATE";
    let Some(row) = sqlx::query(SQL).bind(id).fetch_optional(&mut *conn).await? else { return Ok(()) };
    let kind: &str = row.get_at(0)?;
    let body = row.stored(8)?;
    let mut letter = Letter {
        queue: row.get_at(1)?,
        agent: row.maybe_word(2)?,
        execution: row.maybe_id(3)?.map(ExecutionId::from_bytes),
        trace_id: Some(row.word(4)?),
        attempts: row.small(5)?.saturating_add(1),
        node: row.get_at(6)?,
        first_at: row.get_at(7)?,
        hash: None,
    };
    if kind == EVENT {
        dead::insert(&letter, conn, reason, body, now).await?;
    } else {
        letter.queue = format!("reply.{}", letter.queue);
        dead::insert(&letter, conn, reason, without_address(body), now).await?;
    }
    if let Some(execution) = letter.execution {
        undelivered::close(conn, execution, ExecutionStatus::Dead, reason, now).await?;
    }
    sqlx::query("DELETE FROM outbox WHERE id = $1").bind(id).execute(conn).await?;
    Ok(())
}

pub(super) async fn redrive(store: &PostgresState) -> Result<u64> {
    // Their tries count anew, from one, because they have failed: the first try may come before its queue is bound again.
    // Inboxes take the same rows: both go by the order of ids.
    const SQL: &str = "WITH rows AS MATERIALIZED ( \
             SELECT id FROM outbox WHERE published \
             UNION ALL SELECT id FROM outbox WHERE NOT published AND kind = 'event' AND attempts > 0 \
                 AND available_at > now_ms($1)), \
         held AS MATERIALIZED (SELECT o.id FROM outbox o JOIN rows ON rows.id = o.id ORDER BY o.id FOR UPDATE OF o) \
         UPDATE outbox o SET published = false, available_at = now_ms($1), lease_until = NULL, \
             attempts = least(o.attempts, 1) \
         FROM held WHERE o.id = held.id";
    let call = calling::<u64, _>(move |conn, now| {
        Box::pin(async move { Ok(sqlx::query(SQL).bind(now).execute(conn).await?.rows_affected()) })
    });
    store.statement(key(OUTBOX), call).await
}

pub(super) async fn pending(store: &PostgresState, trace_id: TraceId) -> Result<Vec<PendingRow>> {
    const SQL: &str = "SELECT kind, topic, attempts, published, last_error FROM outbox WHERE trace_id = $1 ORDER BY id";
    let call = calling::<Vec<PendingRow>, _>(move |conn, _| {
        Box::pin(async move {
            let rows = sqlx::query(SQL).bind(trace_id.to_string()).fetch_all(conn).await?;
            let read = |row: &PgRow| {
                Ok(PendingRow {
                    kind: row.get_at(0)?,
                    to: row.get_at(1)?,
                    attempts: row.small(2)?,
                    published: row.get_at(3)?,
                    last_error: row.get_at(4)?,
                })
            };
            rows.iter().map(read).collect()
        })
    });
    store.read(call).await
}
