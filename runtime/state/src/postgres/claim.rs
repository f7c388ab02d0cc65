//! Claims: which node works on which execution, and under which epoch.

use greenroom_contract::{
    AgentId, Event, ExecutionId,
    call::CallResult,
    execution::{Claimed, Failure, Fence},
    port::state::{Claim, Conclusion, Error, Finish, LEFT_TO_THE_QUEUE, Release, Result},
    status::ExecutionStatus,
};
use sqlx::{PgConnection, postgres::PgRow};

use super::{
    ask::{calling, key},
    columns::{Columns, wait_ms},
    fault::Job,
    finish,
    options::Now,
    steps,
    store::PostgresState,
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
    priority: i16,
    event: Stored,
    journal: Vec<RawStep>,
}

pub(super) async fn claim(store: &PostgresState, claim: Claim) -> Result<Vec<Claimed>> {
    let agent = claim.agent.clone();
    let token = store.next_claim();
    let call = calling::<Vec<Taken>, _>(move |conn, now| {
        let claim = claim.clone();
        Box::pin(async move { take(conn, &claim, token, now).await })
    });
    let taken = store.claiming(key(agent.as_str()), token, call).await?;
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

/// The first statement commits alone, because most claims find nothing, or nothing with a journal. Should the connection
/// break before the journal was read, the claim is given back like any other whose answer was lost.
async fn take(conn: &mut PgConnection, claim: &Claim, token: i64, now: Now) -> Job<Vec<Taken>> {
    const TAKE: &str = include_str!("statements/take.sql");
    const TAKE_FIRST: &str = include_str!("statements/take_first.sql");
    let query = sqlx::query(if claim.ordered { TAKE_FIRST } else { TAKE })
        .bind(now)
        .bind(claim.agent.as_str())
        .bind(claim.node.as_str())
        .bind(i64::from(claim.limit))
        .bind(token)
        .bind(claim.lost);
    let query = if claim.ordered { query.bind(claim.here).bind(wait_ms(LEFT_TO_THE_QUEUE)) } else { query };
    let rows = query.fetch_all(&mut *conn).await?;
    let mut taken: Vec<Taken> = rows.iter().map(Taken::read).collect::<Job<_>>()?;
    taken.sort_unstable_by_key(|row| (std::cmp::Reverse(row.priority), row.seq));
    for row in &mut taken {
        // Under its first epoch an execution has no journal yet.
        if row.epoch > 1 {
            row.journal = steps::resume(conn, row.seq, row.attempt).await?;
        }
    }
    Ok(taken)
}

impl Taken {
    fn read(row: &PgRow) -> Job<Self> {
        Ok(Self {
            seq: row.get_at(0)?,
            id: ExecutionId::from_bytes(row.id(1)?),
            version: row.get_at(2)?,
            epoch: row.count(3)?,
            attempt: row.small(4)?,
            crashes: row.small(5)?,
            priority: row.get_at(6)?,
            event: row.stored(7)?,
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
async fn end_unreadable(store: &PostgresState, fence: Fence, agent: &AgentId, error: &Damaged) -> Result<()> {
    tracing::error!(%error, %agent, execution_id = %fence.execution, "An execution cannot be read and is ended.");
    let failure = Failure::new("unreadable", format!("the store's copy of the event or journal is damaged: {error}"));
    let status = ExecutionStatus::Failed;
    let call = Some(CallResult::failed(fence.execution, status, failure.clone()));
    let conclusion = Conclusion::Ended { status, failure };
    let end = Finish { call, ..Finish::of(conclusion) };
    finish::finish(store, fence, end, None).await.map(drop)
}

pub(super) async fn release(store: &PostgresState, fence: Fence, why: Release) -> Result<()> {
    // The status in a form that keeps the planner from going through the index of everything that runs.
    const SQL: &str = "UPDATE executions SET status = 'queued', available_at = now_ms($1), crashes = crashes + $4 \
         WHERE id = $2 AND epoch = $3 AND status || '' = 'running'";
    let call = calling::<(), _>(move |conn, now| {
        Box::pin(async move {
            let released = sqlx::query(SQL)
                .bind(now)
                .bind(fence.execution.as_bytes().as_slice())
                .bind(int(fence.epoch))
                .bind(i32::from(why == Release::Crashed))
                .execute(conn)
                .await?;
            if released.rows_affected() == 0 { Err(Error::Fenced.into()) } else { Ok(()) }
        })
    });
    store.statement(key(fence.execution.as_bytes()), call).await
}
