//! The inbox: a delivery becomes an execution, once for each agent and event.

use greenroom_contract::{
    AgentId, Event, ExecutionId, NodeId,
    clock::from_millis,
    execution::{Claimed, Failure, Fence},
    port::state::{Accepted, Arrival, Result},
    status::ExecutionStatus,
};
use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{columns::count, job::run, store::SqliteState};
use crate::{
    codec::{self, Stored},
    refusal::corrupt,
};

/// An execution's row before it is written.
pub(super) struct NewExecution<'a> {
    pub agent: &'a AgentId,
    pub version: &'a str,
    pub event: &'a Event,
    pub stored: &'a Stored,
    /// `queued`, `running` under its first claim, or ended before it began.
    pub status: ExecutionStatus,
    pub node: Option<&'a NodeId>,
    pub created_at: i64,
    pub ended: Option<(i64, &'a Failure)>,
}

impl NewExecution<'_> {
    /// Writes the row, unless the agent has had the event before. Says whether it was written.
    pub(super) fn insert(&self, conn: &Connection) -> rusqlite::Result<bool> {
        const SQL: &str = "INSERT INTO executions (id, event_id, agent, version, status, attempt, epoch, priority, \
             node, available_at, created_at, started_at, finished_at, trace_id, event_type, source, error_code, \
             error_message, event) \
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17 \
             WHERE NOT EXISTS (SELECT 1 FROM swept WHERE id = ?1) \
             ON CONFLICT (id) DO NOTHING";
        let Self { agent, event, created_at, .. } = self;
        let begun = self.status == ExecutionStatus::Running;
        let failure = self.ended.map(|(_, failure)| failure);
        let written = run(
            conn,
            SQL,
            params![
                ExecutionId::of(agent, event.event_id).as_bytes(),
                event.event_id.as_bytes(),
                agent.as_str(),
                self.version,
                self.status.as_str(),
                begun,
                event.priority.as_u8(),
                self.node.map(NodeId::as_str),
                created_at,
                begun.then_some(created_at),
                self.ended.map(|(at, _)| at),
                event.trace_id.to_string(),
                event.event_type,
                event.source,
                failure.map(|failure| &failure.code),
                failure.map(|failure| &failure.message),
                self.stored,
            ],
        )?;
        Ok(written == 1)
    }
}

pub(super) async fn accept(store: &SqliteState, arrival: Arrival) -> Result<Accepted> {
    // The receiver of a command is its agent. A command to a queue that is no agent's has arrived with its first inbox.
    const ARRIVED: &str = "DELETE FROM outbox WHERE event_id = ?1 AND mandatory = 1 AND (agent = ?2 OR agent IS NULL)";
    let now = store.now();
    let id = ExecutionId::of(&arrival.agent, arrival.event.event_id);
    let stored = codec::encode_json(&arrival.event).map_err(corrupt("an event"))?;
    let (new, arrival) = store
        .write(move |conn| {
            let Arrival { agent, version, event, claim } = &arrival;
            let status = if claim.is_some() { ExecutionStatus::Running } else { ExecutionStatus::Queued };
            let (stored, node) = (&stored, claim.as_ref());
            let new = NewExecution { agent, version, event, stored, status, node, created_at: now, ended: None }
                .insert(conn)?;
            run(conn, ARRIVED, params![event.event_id.as_bytes(), agent.as_str()])?;
            Ok((new, arrival))
        })
        .await?;
    Ok(match (new, arrival.claim) {
        (false, _) => Accepted::Duplicate(id),
        (true, None) => Accepted::Queued(id),
        (true, Some(_)) => Accepted::Claimed(Box::new(Claimed {
            fence: Fence { execution: id, epoch: 1 },
            agent: arrival.agent,
            version: arrival.version,
            event: arrival.event,
            attempt: 1,
            crashes: 0,
            journal: Vec::new(),
        })),
    })
}

pub(super) async fn backlog(store: &SqliteState, agent: AgentId) -> Result<(u64, Option<Timestamp>)> {
    const SQL: &str = "SELECT count(*), min(available_at) FROM executions WHERE agent = ?1 AND status = 'queued'";
    store
        .read(move |conn| {
            Ok(conn.prepare_cached(SQL)?.query_row([agent.as_str()], |row| {
                Ok((count(row, 0)?, row.get::<_, Option<i64>>(1)?.map(from_millis)))
            })?)
        })
        .await
}
