//! The inbox: a delivery becomes an execution, once for each agent and event.

use std::{collections::HashSet, sync::Arc, time::Duration};

use greenroom_contract::{
    AgentId, BoxFuture, Event, ExecutionId, NodeId,
    clock::{from_millis, to_millis},
    execution::{Claimed, Failure, Fence},
    port::state::{Accepted, Arrival, Result},
    status::ExecutionStatus,
};
use jiff::Timestamp;
use sqlx::PgConnection;

use super::{
    ask::{Ask, Batched, Waiting, calling, key},
    columns::Columns,
    fault::Job,
    options::Now,
    store::PostgresState,
};
use crate::{
    codec::{self, Stored},
    refusal::corrupt,
};

/// What is only queued may be an ordered agent's: its rows are numbered one after the other's commit, also over nodes, so that
/// a later number never shows before an earlier one.
pub(super) const IN_TURN: &str =
    "SELECT pg_advisory_xact_lock(hashtextextended('greenroom order ' || current_schema || $1, 0))";

/// An arrival, ready to be written.
pub(super) struct Accepting {
    id: ExecutionId,
    agent: AgentId,
    version: String,
    node: Option<NodeId>,
    claim: Option<i64>,
    stored: Vec<u8>,
    event: Event,
}

pub(super) async fn accept(store: &PostgresState, arrival: Arrival) -> Result<Accepted> {
    let Arrival { agent, version, event, claim: node } = arrival;
    let id = ExecutionId::of(&agent, event.event_id);
    let stored = codec::encode_json(&event).map_err(corrupt("an event"))?.into_bytes();
    let claim = node.is_some().then(|| store.next_claim());
    let request = Accepting { id, agent: agent.clone(), version, node, claim, stored, event };
    if claim.is_some() {
        return store.lane(key(id.as_bytes())).ask(|reply| Waiting::Accept(Ask { request, reply })).await;
    }
    let request = Arc::new([request]);
    let call = calling::<Accepted, _>(move |conn, now| {
        let request = Arc::clone(&request);
        Box::pin(async move {
            sqlx::query(IN_TURN).bind(request[0].agent.as_str()).execute(&mut *conn).await?;
            let accepted = write(request.as_slice(), conn, now).await?;
            Ok(accepted.into_iter().next().unwrap_or(Accepted::Duplicate(request[0].id)))
        })
    });
    store.transaction(vec![key(agent.as_str()), key(id.as_bytes())], call).await
}

impl Batched for Accepting {
    type Done = Accepted;

    fn keys(&self) -> Vec<u64> {
        vec![key(self.id.as_bytes())]
    }

    fn claim(&self) -> Option<i64> {
        self.claim
    }

    fn run<'a>(batch: &'a [Self], conn: &'a mut PgConnection, now: Now) -> BoxFuture<'a, Job<Vec<Result<Accepted>>>> {
        Box::pin(async move { Ok(write(batch, conn, now).await?.into_iter().map(Ok).collect()) })
    }
}

async fn write(batch: &[Accepting], conn: &mut PgConnection, now: Now) -> Job<Vec<Accepted>> {
    const SQL: &str = include_str!("statements/accept.sql");
    let rows = sqlx::query(SQL)
        .bind(now)
        .bind(batch.iter().map(|one| one.id.as_bytes().as_slice()).collect::<Vec<_>>())
        .bind(batch.iter().map(|one| one.event.event_id.as_bytes().as_slice()).collect::<Vec<_>>())
        .bind(batch.iter().map(|one| one.agent.as_str()).collect::<Vec<_>>())
        .bind(batch.iter().map(|one| one.version.as_str()).collect::<Vec<_>>())
        .bind(batch.iter().map(|one| one.node.as_ref().map(NodeId::as_str)).collect::<Vec<_>>())
        .bind(batch.iter().map(|one| one.claim).collect::<Vec<_>>())
        .bind(batch.iter().map(|one| i16::from(one.event.priority.as_u8())).collect::<Vec<_>>())
        .bind(batch.iter().map(|one| one.event.trace_id.to_string()).collect::<Vec<_>>())
        .bind(batch.iter().map(|one| one.event.event_type.as_str()).collect::<Vec<_>>())
        .bind(batch.iter().map(|one| one.event.source.as_str()).collect::<Vec<_>>())
        .bind(batch.iter().map(|one| one.stored.as_slice()).collect::<Vec<_>>())
        .fetch_all(conn)
        .await?;
    let new: HashSet<[u8; 16]> = rows.iter().map(|row| row.id(0)).collect::<Job<_>>()?;
    Ok(batch.iter().map(|one| one.answer(new.contains(one.id.as_bytes()))).collect())
}

impl Accepting {
    fn answer(&self, new: bool) -> Accepted {
        match (new, &self.node) {
            (false, _) => Accepted::Duplicate(self.id),
            (true, None) => Accepted::Queued(self.id),
            (true, Some(_)) => Accepted::Claimed(Box::new(Claimed {
                fence: Fence { execution: self.id, epoch: 1 },
                agent: self.agent.clone(),
                version: self.version.clone(),
                event: self.event.clone(),
                attempt: 1,
                crashes: 0,
                journal: Vec::new(),
            })),
        }
    }
}

/// Writes the row of an execution that ended before it reached the inbox. Says whether it was written.
pub(super) async fn insert_ended(
    conn: &mut PgConnection,
    agent: &AgentId,
    (event, stored): (&Event, Stored),
    (status, failure): (ExecutionStatus, &Failure),
    created_at: i64,
    now: Now,
) -> Job<bool> {
    const SQL: &str = "INSERT INTO executions (id, event_id, agent, version, status, attempt, epoch, priority, \
         available_at, created_at, finished_at, trace_id, event_type, source, error_code, error_message, event) \
         VALUES ($2, $3, $4, '', $5, 0, 0, $6, $7, $7, now_ms($1), $8, $9, $10, $11, $12, $13) \
         ON CONFLICT (id) DO NOTHING";
    let id = ExecutionId::of(agent, event.event_id);
    let done = sqlx::query(SQL)
        .bind(now)
        .bind(id.as_bytes().as_slice())
        .bind(event.event_id.as_bytes().as_slice())
        .bind(agent.as_str())
        .bind(status.as_str())
        .bind(i16::from(event.priority.as_u8()))
        .bind(created_at)
        .bind(event.trace_id.to_string())
        .bind(event.event_type.as_str())
        .bind(event.source.as_str())
        .bind(&failure.code)
        .bind(&failure.message)
        .bind(stored.into_bytes())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// How long until the earliest is due is told by the database's clock, the moment by the node's: whoever waits for it
/// looks at that one, and the two may differ.
pub(super) async fn backlog(store: &PostgresState, agent: AgentId) -> Result<(u64, Option<Timestamp>)> {
    const SQL: &str = "SELECT count(*), min(available_at) - now_ms($1) FROM executions \
         WHERE agent = $2 AND status = 'queued'";
    let call = calling::<(u64, Option<i64>), _>(move |conn, now| {
        let agent = agent.clone();
        Box::pin(async move {
            let row = sqlx::query(SQL).bind(now).bind(agent.as_str()).fetch_one(conn).await?;
            Ok((row.count(0)?, row.get_at(1)?))
        })
    });
    let (waiting, due_in) = store.read(call).await?;
    let here = store.now().unwrap_or_else(|| to_millis(Timestamp::now()));
    let latest = i64::try_from(Duration::from_secs(u64::from(u32::MAX)).as_millis()).unwrap_or(i64::MAX);
    Ok((waiting, due_in.map(|due_in| from_millis(here.saturating_add(due_in.min(latest))))))
}
