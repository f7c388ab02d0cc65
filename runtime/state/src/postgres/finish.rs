//! The end of an attempt, in one transaction with everything that it leaves behind.

use std::{collections::HashMap, sync::Arc};

use greenroom_contract::{
    AgentId, BoxFuture, EventId, ExecutionId, NodeId,
    execution::{Failure, Fence},
    port::{
        memory::Remember,
        state::{Conclusion, Finish, OutboxId, Result},
    },
    status::{ExecutionStatus, PlanRunStatus},
};
use sqlx::PgConnection;

use super::{
    ask::{Ask, Batched, Waiting, calling, key},
    calls,
    checkpoint::Prepared,
    clarifications,
    columns::{Columns, wait_ms},
    dead,
    fault::{Fault, Job},
    journal::verdict,
    options::Now,
    plan_runs,
    relay::HANDED_MS,
    row,
    settling::{Outcomes, Settling},
    store::PostgresState,
    undelivered,
};
use crate::{
    call::CallEnd,
    codec,
    plan::{NewRun, of_execution},
    refusal::{conflict, corrupt, int},
    row::{NewRow, stopped},
};

/// An end, ready to be written.
pub(super) struct Finishing {
    fence: Fence,
    settle: Option<Settling>,
    end: End,
    checkpoint: Option<Prepared>,
    remembers: Vec<Remember>,
    outbox: Vec<(NewRow, Option<ExecutionId>, Vec<u8>)>,
    /// Whose relay gets what is sent.
    node: Option<NodeId>,
}

/// How the attempt ended.
struct End {
    /// What the execution is then.
    status: &'static str,
    answer: Option<Vec<u8>>,
    failure: Option<Failure>,
    wait_ms: i64,
    /// Whether it becomes a dead letter.
    dead: bool,
}

/// Ends an attempt, and leases the events that it sends to the relay of `node`, if one is named.
pub(super) async fn finish(
    store: &PostgresState,
    fence: Fence,
    finish: Finish,
    node: Option<NodeId>,
) -> Result<Vec<Option<OutboxId>>> {
    let Finish { conclusion, settle, checkpoint, outbox, call, remembers, plan_run } = finish;
    let mut rows = Vec::with_capacity(outbox.len());
    for outgoing in outbox {
        let row = NewRow::outgoing(outgoing)?;
        let (execution, body) = (row.execution(), row.body.clone().into_bytes());
        rows.push((row, execution, body));
    }
    let request = Finishing {
        fence,
        settle: settle.map(Settling::prepare).transpose()?,
        end: End::prepare(conclusion)?,
        checkpoint: checkpoint.map(Prepared::new).transpose()?,
        outbox: rows,
        node,
        remembers,
    };
    let answers = call.as_ref().map(CallEnd::prepare).transpose()?;
    let plan_run = plan_run.map(|run| NewRun::prepare(*run)).transpose()?;
    let closes = request.end.failure.is_some() && request.end.status != ExecutionStatus::Queued.as_str();
    if !closes && answers.is_none() && plan_run.is_none() {
        let lane = store.lane(key(fence.execution.as_bytes()));
        return lane.ask(|reply| Waiting::Finish(Box::new(Ask { request, reply }))).await;
    }
    let (request, rest) = (Arc::new([request]), Arc::new((answers, plan_run)));
    let keys = request[0].keys();
    let call = calling::<Vec<Option<OutboxId>>, _>(move |conn, now| {
        let (request, rest) = (Arc::clone(&request), Arc::clone(&rest));
        Box::pin(async move {
            let mut leased = Vec::new();
            for answer in write(request.as_slice(), conn, now).await? {
                leased = answer?;
            }
            let (answers, plan_run) = &*rest;
            let execution = request[0].fence.execution;
            match plan_run {
                Some(plan_run) => plan_runs::write(conn, execution, plan_run, now).await?,
                None if closes => plan_runs::close(conn, execution, request[0].end.run_status(), now).await?,
                None => {}
            }
            if let Some(failure) = request[0].end.failure.as_ref().filter(|_| request[0].end.dead) {
                dead::bury(conn, execution, failure, now).await?;
            }
            if let Some(answers) = answers {
                calls::end(conn, answers, now).await?;
            }
            Ok(leased)
        })
    });
    store.transaction(keys, call).await
}

impl End {
    fn prepare(conclusion: Conclusion) -> Result<Self> {
        let end = Self { status: "", answer: None, failure: None, wait_ms: 0, dead: false };
        match conclusion {
            Conclusion::Succeeded(output) => {
                let answer = codec::encode_json(&output).map_err(corrupt("an output"))?.into_bytes();
                Ok(Self { status: ExecutionStatus::Succeeded.as_str(), answer: Some(answer), ..end })
            }
            Conclusion::Retry { failure, after } => {
                let status = ExecutionStatus::Queued.as_str();
                Ok(Self { status, failure: Some(failure), wait_ms: wait_ms(after), ..end })
            }
            Conclusion::Ended { status, failure } => match status {
                ExecutionStatus::Failed
                | ExecutionStatus::TimedOut
                | ExecutionStatus::Cancelled
                | ExecutionStatus::Dead => {
                    let dead = status != ExecutionStatus::Cancelled;
                    Ok(Self { status: status.as_str(), failure: Some(failure), dead, ..end })
                }
                other => Err(conflict(format!("an execution does not end without success as {other}"))),
            },
        }
    }
}

impl End {
    /// How the plan run ends whose coordinator ends so.
    fn run_status(&self) -> PlanRunStatus {
        of_execution(if self.dead { ExecutionStatus::Failed } else { ExecutionStatus::Cancelled })
    }
}

impl Batched for Finishing {
    /// For each row that it adds to the outbox its id, if it was leased.
    type Done = Vec<Option<OutboxId>>;

    fn keys(&self) -> Vec<u64> {
        let state = self.checkpoint.as_ref().map(|state| key(&state.key));
        std::iter::once(key(self.fence.execution.as_bytes())).chain(state).collect()
    }

    fn run<'a>(batch: &'a [Self], conn: &'a mut PgConnection, now: Now) -> BoxFuture<'a, Job<Vec<Result<Self::Done>>>> {
        Box::pin(write(batch, conn, now))
    }
}

impl Finishing {
    /// The relay that gets a row at once. A reply waits its turn.
    fn lease_to(&self, row: &NewRow) -> Option<&str> {
        self.node.as_ref().filter(|_| row.order_key.is_none()).map(NodeId::as_str)
    }
}

async fn write(batch: &[Finishing], conn: &mut PgConnection, now: Now) -> Job<Vec<Result<Vec<Option<OutboxId>>>>> {
    const SQL: &str = include_str!("statements/finish.sql");
    let mut outcomes = Outcomes::default();
    batch.iter().for_each(|one| outcomes.push(one.settle.as_ref()));
    let ends = || batch.iter().map(|one| &one.end);
    let states = || batch.iter().map(|one| one.checkpoint.as_ref());
    // Rows and messages name the request that they belong to by its place, from 1.
    let rows = || (1_i64..).zip(batch).flat_map(|(ord, one)| one.outbox.iter().map(move |row| (ord, row)));
    let messages = || {
        let appended = states().map(|state| state.map_or(&[][..], |state| state.append.as_slice()));
        let placed = |(ord, append)| std::iter::repeat(ord).zip((0_i64..).zip(append));
        (1_i64..).zip(appended).flat_map(placed).map(|(ord, (place, body))| (ord, place, Vec::as_slice(body)))
    };
    let memories =
        || (1_i64..).zip(batch).flat_map(|(ord, one)| one.remembers.iter().map(move |remember| (ord, remember)));
    let query = sqlx::query(SQL)
        .bind(now)
        .bind(batch.iter().map(|one| one.fence.execution.as_bytes().as_slice()).collect::<Vec<_>>())
        .bind(batch.iter().map(|one| int(one.fence.epoch)).collect::<Vec<_>>());
    let answered = outcomes
        .bind(query)
        .bind(ends().map(|end| end.status).collect::<Vec<_>>())
        .bind(ends().map(|end| end.answer.as_deref()).collect::<Vec<_>>())
        .bind(ends().map(|end| Some(end.failure.as_ref()?.code.as_str())).collect::<Vec<_>>())
        .bind(ends().map(|end| Some(end.failure.as_ref()?.message.as_str())).collect::<Vec<_>>())
        .bind(ends().map(|end| end.wait_ms).collect::<Vec<_>>())
        .bind(states().map(|state| Some(state?.key.agent.as_str())).collect::<Vec<_>>())
        .bind(states().map(|state| Some(state?.key.conversation.as_str())).collect::<Vec<_>>())
        .bind(states().map(|state| Some(int(state?.replaces))).collect::<Vec<_>>())
        .bind(states().map(|state| Some(state?.data.as_slice())).collect::<Vec<_>>())
        .bind(states().map(|state| Some(int(state?.append.len() as u64))).collect::<Vec<_>>())
        .bind(rows().map(|(ord, _)| ord).collect::<Vec<_>>())
        .bind(rows().map(|(_, (row, ..))| row.kind).collect::<Vec<_>>())
        .bind(
            rows()
                .map(|(_, (row, ..))| row.event_id.as_ref().map(|id: &EventId| id.as_bytes().as_slice()))
                .collect::<Vec<_>>(),
        )
        .bind(rows().map(|(_, (_, id, _))| id.as_ref().map(|id| id.as_bytes().as_slice())).collect::<Vec<_>>())
        .bind(rows().map(|(_, (row, ..))| row.agent.as_ref().map(AgentId::as_str)).collect::<Vec<_>>())
        .bind(rows().map(|(_, (row, ..))| row.topic.as_str()).collect::<Vec<_>>())
        .bind(rows().map(|(_, (row, ..))| row.mandatory).collect::<Vec<_>>())
        .bind(rows().map(|(_, (row, ..))| row.order_key).collect::<Vec<_>>())
        .bind(rows().map(|(_, (row, ..))| row.trace_id.to_string()).collect::<Vec<_>>())
        .bind(rows().map(|(_, (_, _, body))| body.as_slice()).collect::<Vec<_>>())
        .bind(messages().map(|(ord, ..)| ord).collect::<Vec<_>>())
        .bind(messages().map(|(_, place, _)| place).collect::<Vec<_>>())
        .bind(messages().map(|(.., body)| body).collect::<Vec<_>>())
        .bind(rows().map(|(ord, (row, ..))| batch[ord as usize - 1].lease_to(row)).collect::<Vec<_>>())
        .bind(HANDED_MS)
        .bind(memories().map(|(ord, _)| ord).collect::<Vec<_>>())
        .bind(memories().map(|(_, remember)| remember.key.as_str()).collect::<Vec<_>>())
        .bind(memories().map(|(_, remember)| remember.text.as_deref()).collect::<Vec<_>>())
        .fetch_all(conn)
        .await?;
    let Some((verdicts, sent)) = answered.split_at_checked(batch.len()) else {
        return Err(Fault::Wrong(format!("{} answers to {} ends", answered.len(), batch.len())));
    };
    let leased: HashMap<([u8; 16], &str), OutboxId> =
        sent.iter().map(|row| Ok(((row.id(4)?, row.get_at(5)?), OutboxId(row.get_at(3)?)))).collect::<Job<_>>()?;
    let judge = |(row, one): (&sqlx::postgres::PgRow, &Finishing)| {
        let state = one.checkpoint.as_ref().map(|state| (state.key.agent.as_str(), state.replaces));
        let judged = verdict(row)?.judge(one.settle.as_ref().map(Settling::place), None, state);
        let id = |(row, ..): &(NewRow, _, _)| {
            let event = row.event_id.as_ref().filter(|_| one.lease_to(row).is_some())?;
            leased.get(&(*event.as_bytes(), row.topic.as_str())).copied()
        };
        Ok(judged.map(|()| one.outbox.iter().map(id).collect()))
    };
    verdicts.iter().zip(batch).map(judge).collect()
}

pub(super) async fn cancel(store: &PostgresState, execution: ExecutionId, failure: Failure) -> Result<bool> {
    // The new epoch tells the one who works on it, at its next write. Whether it has ended is asked in a form that keeps
    // the planner from going through the index of everything that has not.
    const SQL: &str = "UPDATE executions SET status = 'cancelled', epoch = epoch + 1, finished_at = now_ms($1), \
         error_code = $3, error_message = $4 WHERE id = $2 AND coalesce(finished_at, 0) = 0";
    const EVENT: &str = "SELECT event FROM executions WHERE id = $1";
    let call = calling::<bool, _>(move |conn, now| {
        let failure = failure.clone();
        Box::pin(async move {
            let cancelled = sqlx::query(SQL)
                .bind(now)
                .bind(execution.as_bytes().as_slice())
                .bind(&failure.code)
                .bind(&failure.message)
                .execute(&mut *conn)
                .await?;
            if cancelled.rows_affected() > 0 {
                clarifications::cancel(conn, execution, now).await?;
                plan_runs::close(conn, execution, PlanRunStatus::Cancelled, now).await?;
                calls::end_without_answer(conn, execution, ExecutionStatus::Cancelled, &failure, now).await?;
                let event = sqlx::query(EVENT).bind(execution.as_bytes().as_slice()).fetch_one(&mut *conn).await?;
                if let Some(told) = stopped(event.stored(0)?) {
                    row::insert(&told, conn, now).await?;
                }
                return Ok(true);
            }
            undelivered::close(conn, execution, ExecutionStatus::Cancelled, &failure, now).await
        })
    });
    store.transaction(vec![key(execution.as_bytes())], call).await
}
