//! Claims: which node works on which execution, and under which epoch.

use greenroom_contract::{
    AgentId, Event, ExecutionId,
    call::CallResult,
    execution::{Claimed, Failure, Fence},
    port::state::{Claim, Conclusion, Error, Finish, LEFT_TO_THE_QUEUE, Release, Result},
    status::ExecutionStatus,
};
use rusqlite::{Connection, Row, params};

use super::{
    columns::{after, count},
    finish,
    job::{refuse, run},
    steps,
    store::SqliteState,
};
use crate::{
    codec::{self, Damaged, Stored},
    raw::RawStep,
    refusal::int,
};

/// An execution as the claim found it, its payloads still as they are stored.
struct Taken {
    seq: i64,
    id: ExecutionId,
    version: String,
    epoch: u64,
    attempt: u32,
    crashes: u32,
    priority: u8,
    event: Stored,
    journal: Vec<RawStep>,
}

/// Takes what is due: queued rows, and where asked for running rows whose node (not the claimant) has no lease any more.
pub(super) const TAKE: &str = "UPDATE executions SET status = 'running', node = ?2, epoch = epoch + 1, attempt = max(attempt, 1), \
         crashes = crashes + (status = 'running'), started_at = coalesce(started_at, ?3) \
     WHERE seq IN ( \
         SELECT seq FROM ( \
             SELECT * FROM ( \
                 SELECT seq, priority FROM executions \
                 WHERE agent = ?1 AND status = 'queued' AND available_at <= ?3 \
                 ORDER BY priority DESC, seq LIMIT ?4 + 0) \
             UNION ALL \
             SELECT seq, priority FROM executions AS lost \
             WHERE ?5 AND agent = ?1 AND status = 'running' AND node <> ?2 AND NOT EXISTS ( \
                 SELECT 1 FROM nodes WHERE nodes.node = lost.node AND nodes.lease_until >= ?3)) \
         ORDER BY priority DESC, seq LIMIT ?4 + 0) \
     RETURNING seq, id, version, epoch, attempt, crashes, priority, event";

/// Takes the agent's first unfinished row, if that one is due, and its turn: whom the queue does not lead to waits. Its turn
/// began when the one before it ended.
pub(super) const TAKE_FIRST: &str = "UPDATE executions SET status = 'running', node = ?2, epoch = epoch + 1, \
         attempt = max(attempt, 1), crashes = crashes + (status = 'running'), started_at = coalesce(started_at, ?3) \
     WHERE seq = (SELECT seq FROM executions INDEXED BY executions_unfinished \
             WHERE agent = ?1 AND finished_at IS NULL ORDER BY seq LIMIT 1) \
         AND (status = 'queued' AND available_at <= ?3 AND (?6 OR node = ?2 \
                 OR node IS NOT NULL AND NOT EXISTS ( \
                     SELECT 1 FROM nodes WHERE nodes.node = executions.node AND nodes.lease_until >= ?3) \
                 OR max(available_at, coalesce((SELECT p.finished_at FROM executions AS p \
                     WHERE p.agent = ?1 AND p.seq < executions.seq ORDER BY p.seq DESC LIMIT 1), 0)) <= ?3 - ?7) \
             OR ?5 AND status = 'running' AND node <> ?2 AND NOT EXISTS ( \
                 SELECT 1 FROM nodes WHERE nodes.node = executions.node AND nodes.lease_until >= ?3)) \
         AND ?4 > 0 \
     RETURNING seq, id, version, epoch, attempt, crashes, priority, event";

pub(super) async fn claim(store: &SqliteState, claim: Claim) -> Result<Vec<Claimed>> {
    let now = store.now();
    let (taken, agent) = store.write(move |conn| Ok((take(conn, &claim, now)?, claim.agent))).await?;
    let mut claimed = Vec::with_capacity(taken.len());
    for row in taken {
        let fence = Fence { execution: row.id, epoch: row.epoch };
        match row.open(fence, &agent) {
            Ok(row) => claimed.push(row),
            Err(error) => end_unreadable(store, fence, &agent, &error).await?,
        }
    }
    Ok(claimed)
}

fn take(conn: &Connection, claim: &Claim, now: i64) -> rusqlite::Result<Vec<Taken>> {
    let Claim { node, agent, limit, ordered, lost, here } = claim;
    let mut statement = conn.prepare_cached(if *ordered { TAKE_FIRST } else { TAKE })?;
    let (agent, node, left) = (agent.as_str(), node.as_str(), after(0, LEFT_TO_THE_QUEUE));
    let rows = match ordered {
        true => statement.query_map(params![agent, node, now, limit, lost, here, left], Taken::read)?,
        false => statement.query_map(params![agent, node, now, limit, lost], Taken::read)?,
    };
    let mut taken: Vec<Taken> = rows.collect::<rusqlite::Result<_>>()?;
    taken.sort_unstable_by_key(|row| (std::cmp::Reverse(row.priority), row.seq));
    for row in &mut taken {
        // Under its first epoch an execution has no journal yet.
        if row.epoch > 1 {
            row.journal = steps::resume(conn, row.seq, row.attempt)?;
        }
    }
    Ok(taken)
}

impl Taken {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            id: ExecutionId::from_bytes(row.get(1)?),
            version: row.get(2)?,
            epoch: count(row, 3)?,
            attempt: row.get(4)?,
            crashes: row.get(5)?,
            priority: row.get(6)?,
            event: row.get(7)?,
            journal: Vec::new(),
        })
    }

    fn open(self, fence: Fence, agent: &AgentId) -> Result<Claimed, Damaged> {
        Ok(Claimed {
            fence,
            agent: agent.clone(),
            version: self.version,
            event: codec::decode_json::<Event>(self.event)?,
            attempt: self.attempt,
            crashes: self.crashes,
            journal: self.journal.into_iter().map(RawStep::open).collect::<Result<_, _>>()?,
        })
    }
}

/// An execution whose event or journal is damaged ends here, so that it does not hold up its agent's others.
async fn end_unreadable(store: &SqliteState, fence: Fence, agent: &AgentId, error: &Damaged) -> Result<()> {
    tracing::error!(%error, %agent, execution_id = %fence.execution, "An execution cannot be read and is ended.");
    let failure = Failure::new("unreadable", format!("the store's copy of the event or journal is damaged: {error}"));
    let status = ExecutionStatus::Failed;
    let call = Some(CallResult::failed(fence.execution, status, failure.clone()));
    let conclusion = Conclusion::Ended { status, failure };
    let end = Finish { call, ..Finish::of(conclusion) };
    finish::finish(store, fence, end, None).await.map(drop)
}

pub(super) async fn release(store: &SqliteState, fence: Fence, why: Release) -> Result<()> {
    const SQL: &str = "UPDATE executions SET status = 'queued', available_at = ?3, crashes = crashes + ?4 \
         WHERE id = ?1 AND epoch = ?2 AND status = 'running'";
    let now = store.now();
    store
        .write(move |conn| {
            let epoch = int(fence.epoch);
            let crashed = why == Release::Crashed;
            match run(conn, SQL, params![fence.execution.as_bytes(), epoch, now, crashed])? {
                0 => refuse(Error::Fenced),
                _ => Ok(()),
            }
        })
        .await
}
