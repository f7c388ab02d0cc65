//! The journal: a call is intended before it is made and settled before the next.

use greenroom_contract::{
    BoxFuture,
    execution::{Effect, Fence, Intended, Settled},
    port::state::Result,
};
use sqlx::PgConnection;

use super::{
    ask::{Ask, Batched, Waiting, key},
    columns::{Columns, int4},
    fault::Job,
    options::Now,
    settling::{Outcomes, Settling, Verdict},
    store::PostgresState,
};
use crate::refusal::int;

/// A write to the journal, ready to be made.
pub(super) struct Journaling {
    fence: Fence,
    settle: Option<Settling>,
    intend: Option<Intended>,
}

pub(super) async fn journal(
    store: &PostgresState,
    fence: Fence,
    settle: Option<Settled>,
    intend: Option<Intended>,
) -> Result<()> {
    let settle = settle.map(Settling::prepare).transpose()?;
    let request = Journaling { fence, settle, intend };
    let lane = store.lane(key(fence.execution.as_bytes()));
    lane.ask(|reply| Waiting::Journal(Ask { request, reply })).await
}

impl Journaling {
    /// Whether it may be answered before it is on the disk: a call that is made again anyway, if the database dies with it. It is
    /// there as soon as anything that follows it is.
    pub(super) fn is_light(&self) -> bool {
        self.settle.is_none() && self.intend.as_ref().is_some_and(|step| step.effect == Effect::None)
    }
}

impl Batched for Journaling {
    type Done = ();

    fn keys(&self) -> Vec<u64> {
        vec![key(self.fence.execution.as_bytes())]
    }

    fn run<'a>(batch: &'a [Self], conn: &'a mut PgConnection, now: Now) -> BoxFuture<'a, Job<Vec<Result<()>>>> {
        Box::pin(write(batch, conn, now))
    }
}

async fn write(batch: &[Journaling], conn: &mut PgConnection, now: Now) -> Job<Vec<Result<()>>> {
    const SQL: &str = include_str!("statements/journal.sql");
    let mut outcomes = Outcomes::default();
    batch.iter().for_each(|one| outcomes.push(one.settle.as_ref()));
    let intended = || batch.iter().map(|one| one.intend.as_ref());
    let query = sqlx::query(SQL)
        .bind(now)
        .bind(batch.iter().map(|one| one.fence.execution.as_bytes().as_slice()).collect::<Vec<_>>())
        .bind(batch.iter().map(|one| int(one.fence.epoch)).collect::<Vec<_>>());
    let rows = outcomes
        .bind(query)
        .bind(intended().map(|step| Some(int4(step?.attempt))).collect::<Vec<_>>())
        .bind(intended().map(|step| Some(int4(step?.seq))).collect::<Vec<_>>())
        .bind(intended().map(|step| Some(step?.kind.as_str())).collect::<Vec<_>>())
        .bind(intended().map(|step| Some(step?.name.as_str())).collect::<Vec<_>>())
        .bind(intended().map(|step| Some(step?.effect.as_str())).collect::<Vec<_>>())
        .bind(intended().map(|step| Some(step?.request_hash.as_str())).collect::<Vec<_>>())
        .bind(intended().map(|step| Some(step?.idempotency_key.as_str())).collect::<Vec<_>>())
        .bind(batch.iter().all(Journaling::is_light))
        .fetch_all(conn)
        .await?;
    let judge = |(row, one): (&sqlx::postgres::PgRow, &Journaling)| {
        let verdict = verdict(row)?;
        let intend = one.intend.as_ref().map(|step| (step.attempt, step.seq));
        Ok(verdict.judge(one.settle.as_ref().map(Settling::place), intend, None))
    };
    rows.iter().zip(batch).map(judge).collect()
}

/// Reads what a statement says of one request.
pub(super) fn verdict(row: &sqlx::postgres::PgRow) -> Job<Verdict> {
    let attempt = row.get_at::<Option<i32>>(1)?.map_or(0, |attempt| u32::try_from(attempt).unwrap_or_default());
    Ok(Verdict { word: row.get_at(0)?, attempt, agent: row.get_at::<Option<String>>(2)?.unwrap_or_default() })
}
