//! The outbox's other end: rows that are due, and what became of them.

use greenroom_contract::{
    Event, ExecutionId, NodeId, TraceId,
    execution::Failure,
    port::state::{OutboxId, OutboxOutcome, OutboxRow, Outgoing, PendingRow, Result, Wanted},
    status::ExecutionStatus,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    columns::{Word, after},
    job::{Job, run},
    store::SqliteState,
    undelivered,
};
use crate::{
    codec::{self, Damaged, Stored},
    letter::{Letter, without_address},
    row::{EVENT, REPLY, ReplyBody, kind_of},
};

/// How long the relay has a row that it took before it comes free.
const LEASE_MS: i64 = 30_000;
/// How long it has a row that is handed to it with its commit: should nobody hear of that commit, the event is late by this.
/// The relay publishes such a row at once and has it marked half a second later; one that it still holds it knows again.
pub(super) const HANDED_MS: i64 = 5_000;

struct Due {
    id: i64,
    kind: String,
    mandatory: bool,
    attempts: u32,
    trace_id: TraceId,
    body: Stored,
}

/// Takes what is due of a kind. A row is taken by whoever comes first if it is nobody's; else by its owner, unless that has it in hand;
/// else, where asked for what is lost, by others once its lease or its owner's is over. A reply waits for the earlier ones to
/// the same address; an event for an earlier one under its topic that has failed, unless that fails for ever.
pub(super) const LEASE: &str = "UPDATE outbox SET lease_owner = ?1, lease_until = ?2 + ?3 WHERE id IN ( \
         SELECT id FROM outbox AS o INDEXED BY outbox_due \
         WHERE o.published = 0 AND o.kind = ?6 AND o.available_at <= ?2 \
         AND (o.lease_owner IS NULL \
             OR o.lease_owner = ?1 AND (o.lease_until IS NULL OR o.lease_until < ?2) \
             OR ?5 AND o.lease_owner <> ?1 AND (o.lease_until < ?2 \
                 OR EXISTS (SELECT 1 FROM nodes WHERE nodes.node = o.lease_owner AND nodes.lease_until < ?2) \
                 OR o.lease_until IS NULL AND NOT EXISTS (SELECT 1 FROM nodes WHERE nodes.node = o.lease_owner))) \
         AND (o.order_key IS NULL OR NOT EXISTS ( \
             SELECT 1 FROM outbox AS earlier WHERE earlier.order_key = o.order_key AND earlier.id < o.id)) \
         AND (o.kind <> 'event' OR NOT EXISTS ( \
             SELECT 1 FROM outbox AS earlier INDEXED BY outbox_failed \
             WHERE earlier.topic = o.topic AND earlier.id < o.id AND earlier.published = 0 AND earlier.kind = 'event' \
                 AND earlier.attempts > 0 AND earlier.attempts <= 50)) \
         ORDER BY o.id LIMIT ?4 + 0) \
     RETURNING id, kind, mandatory, attempts, trace_id, body";

pub(super) async fn claim(store: &SqliteState, node: NodeId, wanted: Wanted, lost: bool) -> Result<Vec<OutboxRow>> {
    let now = store.now();
    let mut due = store.write(move |conn| Ok(lease(conn, &node, now, wanted, lost)?)).await?;
    due.sort_unstable_by_key(|row| row.id);
    let mut rows = Vec::with_capacity(due.len());
    let mut unreadable = Vec::new();
    for row in due {
        let (id, trace_id) = (OutboxId(row.id), row.trace_id);
        match open(row) {
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

fn lease(conn: &Connection, node: &NodeId, now: i64, wanted: Wanted, lost: bool) -> rusqlite::Result<Vec<Due>> {
    let (kind, limit) = kind_of(wanted);
    conn.prepare_cached(LEASE)?
        .query_map(params![node.as_str(), now, LEASE_MS, limit, lost, kind], |row| {
            Ok(Due {
                id: row.get(0)?,
                kind: row.get(1)?,
                mandatory: row.get(2)?,
                attempts: row.get(3)?,
                trace_id: row.get::<_, Word<_>>(4)?.0,
                body: row.get(5)?,
            })
        })?
        .collect()
}

fn open(row: Due) -> Result<OutboxRow, Damaged> {
    let outgoing = if row.kind == REPLY {
        let ReplyBody { to, text, is_error, card } = codec::decode_json(row.body)?;
        Outgoing::Reply { to, text, is_error, card, trace_id: row.trace_id }
    } else {
        Outgoing::Event { event: codec::decode_json::<Event>(row.body)?, mandatory: row.mandatory }
    };
    Ok(OutboxRow { id: OutboxId(row.id), outgoing, attempts: row.attempts })
}

pub(super) async fn settle(store: &SqliteState, outcomes: Vec<(OutboxId, OutboxOutcome)>) -> Result<()> {
    let now = store.now();
    store
        .write(move |conn| {
            for (id, outcome) in &outcomes {
                settle_one(conn, id.0, outcome, now)?;
            }
            Ok(())
        })
        .await
}

fn settle_one(conn: &Connection, id: i64, outcome: &OutboxOutcome, now: i64) -> Job<()> {
    // Its relay publishes it again, should the bus have lost it.
    const PUBLISHED: &str = "UPDATE outbox SET published = 1, lease_until = NULL WHERE id = ?1 AND mandatory = 1";
    const GONE: &str = "DELETE FROM outbox WHERE id = ?1";
    const RETRY: &str = "UPDATE outbox SET attempts = attempts + 1, available_at = ?2, last_error = ?3, \
         lease_owner = NULL, lease_until = NULL WHERE id = ?1";
    match outcome {
        OutboxOutcome::Published => {
            if run(conn, PUBLISHED, [id])? == 0 {
                run(conn, GONE, [id])?;
            }
        }
        OutboxOutcome::Delivered => {
            run(conn, GONE, [id])?;
        }
        OutboxOutcome::Retry { after: wait, reason } => {
            run(conn, RETRY, params![id, after(now, *wait), reason])?;
        }
        OutboxOutcome::Dead(reason) => {
            bury(conn, id, reason, now)?;
            run(conn, GONE, [id])?;
        }
    }
    Ok(())
}

/// Makes a dead letter of a row. The execution that a door promised for it ends as `dead`.
fn bury(conn: &Connection, id: i64, reason: &Failure, now: i64) -> Job<()> {
    const SQL: &str = "SELECT kind, topic, agent, execution_id, trace_id, attempts, lease_owner, created_at, body \
         FROM outbox WHERE id = ?1";
    struct Lost {
        kind: String,
        body: Stored,
        letter: Letter,
    }
    let lost = conn
        .prepare_cached(SQL)?
        .query_row([id], |row| {
            Ok(Lost {
                kind: row.get(0)?,
                letter: Letter {
                    queue: row.get(1)?,
                    agent: row.get::<_, Option<Word<_>>>(2)?.map(|word| word.0),
                    execution: row.get::<_, Option<[u8; 16]>>(3)?.map(ExecutionId::from_bytes),
                    trace_id: Some(row.get::<_, Word<_>>(4)?.0),
                    attempts: row.get::<_, u32>(5)?.saturating_add(1),
                    node: row.get(6)?,
                    first_at: row.get(7)?,
                    hash: None,
                },
                body: row.get(8)?,
            })
        })
        .optional()?;
    let Some(Lost { kind, body, mut letter }) = lost else { return Ok(()) };
    if kind == EVENT {
        letter.insert(conn, reason, &body, now)?;
    } else {
        letter.queue = format!("reply.{}", letter.queue);
        letter.insert(conn, reason, &without_address(body), now)?;
    }
    if let Some(execution) = letter.execution {
        undelivered::close(conn, execution, ExecutionStatus::Dead, reason, now)?;
    }
    Ok(())
}

pub(super) async fn redrive(store: &SqliteState) -> Result<u64> {
    // Their tries count anew, from one, because they have failed: the first try may come before its queue is bound again.
    const SQL: &str = "UPDATE outbox SET published = 0, available_at = ?1, lease_until = NULL, attempts = min(attempts, 1) \
         WHERE published = 1 OR kind = 'event' AND attempts > 0 AND available_at > ?1";
    let now = store.now();
    store.write(move |conn| Ok(run(conn, SQL, [now])? as u64)).await
}

pub(super) async fn pending(store: &SqliteState, trace_id: TraceId) -> Result<Vec<PendingRow>> {
    const SQL: &str = "SELECT kind, topic, attempts, published, last_error FROM outbox WHERE trace_id = ?1 ORDER BY id";
    store
        .read(move |conn| {
            let mut statement = conn.prepare_cached(SQL)?;
            let rows = statement.query_map([trace_id.to_string()], |row| {
                Ok(PendingRow {
                    kind: row.get(0)?,
                    to: row.get(1)?,
                    attempts: row.get(2)?,
                    published: row.get(3)?,
                    last_error: row.get(4)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
}
