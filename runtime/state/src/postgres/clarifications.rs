//! Questions to people: an execution waits, and goes on with the last answer.

use std::sync::Arc;

use greenroom_contract::{
    BoxFuture, ClarificationId, ExecutionId,
    clarification::{Card, Clarification},
    execution::Fence,
    page::{Page, PageRequest},
    port::state::{ClarificationFilter, Clarifications, Decided, Decision, Error, Escalated, Result, Wait},
};
use sqlx::{AssertSqlSafe, PgConnection, postgres::PgRow};

use super::{
    ask::{calling, key},
    calls,
    columns::{Columns, int4},
    fault::Job,
    options::Now,
    plan_runs, row,
    store::PostgresState,
};
use crate::{
    clarification::{COLUMNS, LIST, NewDecision, NewEscalation, NewWait, RawClarification, cancelled, with_card},
    refusal::{int, no_step},
};

impl Clarifications for PostgresState {
    fn wait(&self, fence: Fence, wait: Wait) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let wait = Arc::new(NewWait::prepare(wait)?);
            let call = calling::<(), _>(move |conn, now| {
                let wait = Arc::clone(&wait);
                Box::pin(async move { ask(conn, fence, &wait, now).await })
            });
            self.transaction(vec![key(fence.execution.as_bytes())], call).await
        })
    }

    fn decide(&self, id: ClarificationId, decision: Decision) -> BoxFuture<'_, Result<Decided>> {
        Box::pin(async move {
            let decision = Arc::new(NewDecision::prepare(decision)?);
            let call = calling::<(bool, RawClarification), _>(move |conn, now| {
                let decision = Arc::clone(&decision);
                Box::pin(async move { decide(conn, id, &decision, now).await })
            });
            let (counts, raw) = self.transaction(vec![key(id.as_bytes())], call).await?;
            let (_, decided) = raw.open();
            Ok(if counts { Decided::Now(decided) } else { Decided::Before(decided) })
        })
    }

    fn escalate(&self, id: ClarificationId, escalated: Escalated) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async move {
            let escalated = Arc::new(NewEscalation::prepare(escalated)?);
            let call = calling::<bool, _>(move |conn, now| {
                let escalated = Arc::clone(&escalated);
                Box::pin(async move { escalate(conn, id, &escalated, now).await })
            });
            self.transaction(vec![key(id.as_bytes())], call).await
        })
    }

    fn clarification(&self, id: ClarificationId) -> BoxFuture<'_, Result<Option<Clarification>>> {
        let call = calling::<Option<RawClarification>, _>(move |conn, _| Box::pin(async move { find(conn, id).await }));
        Box::pin(async move { Ok(self.read(call).await?.map(|raw| raw.open().1)) })
    }

    fn clarifications(
        &self,
        filter: ClarificationFilter,
        page: PageRequest,
    ) -> BoxFuture<'_, Result<Page<Clarification>>> {
        Box::pin(async move {
            let wanted = LIST.wanted(&page)?;
            let rows = wanted.rows;
            let call = calling::<Vec<RawClarification>, _>(move |conn, _| {
                let filter = filter.clone();
                Box::pin(async move {
                    let sql = format!(
                        "SELECT {COLUMNS} FROM clarifications c JOIN executions e ON e.seq = c.execution \
                         WHERE c.seq < $1 AND ($2::text IS NULL OR c.agent = $2) AND ($3::bytea IS NULL OR e.id = $3) \
                         AND ($4::text IS NULL OR c.status = $4) ORDER BY c.seq DESC LIMIT $5"
                    );
                    let query = sqlx::query(AssertSqlSafe(sql))
                        .bind(wanted.below)
                        .bind(filter.agent.as_ref().map(|agent| agent.as_str()))
                        .bind(filter.execution.as_ref().map(|id| id.as_bytes().as_slice()))
                        .bind(filter.status.map(|status| status.as_str()))
                        .bind(i64::from(rows));
                    query.fetch_all(conn).await?.iter().map(read).collect()
                })
            });
            let found = self.read(call).await?;
            Ok(LIST.page(found.into_iter().map(RawClarification::open).collect(), rows))
        })
    }

    fn note_card(&self, id: ClarificationId, card: Card) -> BoxFuture<'_, Result<Clarification>> {
        let call = calling::<RawClarification, _>(move |conn, _| {
            let card = card.clone();
            Box::pin(async move { note(conn, id, &card).await })
        });
        Box::pin(async move { Ok(self.transaction(vec![key(id.as_bytes())], call).await?.open().1) })
    }

    fn overdue(&self, limit: u32) -> BoxFuture<'_, Result<Vec<Clarification>>> {
        let call = calling::<Vec<RawClarification>, _>(move |conn, now| {
            Box::pin(async move {
                let sql = format!(
                    "SELECT {COLUMNS} FROM clarifications c JOIN executions e ON e.seq = c.execution \
                     WHERE c.status = 'open' AND c.expires_at <= now_ms($1) ORDER BY c.expires_at LIMIT $2"
                );
                let query = sqlx::query(AssertSqlSafe(sql)).bind(now).bind(i64::from(limit));
                query.fetch_all(conn).await?.iter().map(read).collect()
            })
        });
        Box::pin(async move { Ok(self.read(call).await?.into_iter().map(|raw| raw.open().1).collect()) })
    }
}

async fn ask(conn: &mut PgConnection, fence: Fence, wait: &NewWait, now: Now) -> Job<()> {
    const HOLD: &str = "SELECT seq, agent, attempt FROM executions \
         WHERE id = $1 AND epoch = $2 AND status = 'running' FOR NO KEY UPDATE";
    const ASK: &str = "INSERT INTO clarifications \
             (id, execution, attempt, step, agent, purpose, status, asked_at, expires_at, question) \
         SELECT $2, s.execution, s.attempt, s.seq, $6, $7, 'open', now_ms($1), now_ms($1) + $8, $9 FROM steps s \
         WHERE s.execution = $3 AND s.attempt = $4 AND s.seq = $5 AND s.status IN ('intended', 'unknown') \
         ON CONFLICT (id) DO UPDATE SET id = excluded.id";
    const ENDED: &str = "SELECT 1 FROM clarifications WHERE id = $1 AND status <> 'open'";
    const WAIT: &str = "UPDATE executions SET status = 'waiting' WHERE seq = $1";
    const GO_ON: &str = "UPDATE executions SET status = 'queued', available_at = now_ms($2) WHERE seq = $1";
    let id = fence.execution.as_bytes().as_slice();
    let held = sqlx::query(HOLD).bind(id).bind(int(fence.epoch)).fetch_optional(&mut *conn).await?;
    let Some(held) = held else { return Err(Error::Fenced.into()) };
    let (execution, agent, attempt): (i64, &str, u32) = (held.get_at(0)?, held.get_at(1)?, held.small(2)?);
    let mut was_answered = false;
    for question in &wait.questions {
        // One that was asked before may have been answered while the execution was at work for the sake of a call.
        let ended = sqlx::query(ENDED).bind(question.id(fence, attempt).as_bytes().as_slice());
        if ended.fetch_optional(&mut *conn).await?.is_some() {
            was_answered = true;
            continue;
        }
        let done = sqlx::query(ASK)
            .bind(now)
            .bind(question.id(fence, attempt).as_bytes().as_slice())
            .bind(execution)
            .bind(int4(attempt))
            .bind(int4(question.seq))
            .bind(agent)
            .bind(question.purpose.as_str())
            .bind(question.expires_in_ms)
            .bind(question.body.clone().into_bytes())
            .execute(&mut *conn)
            .await?;
        if done.rows_affected() == 0 {
            return Err(no_step(question.seq, attempt).into());
        }
    }
    let has_ended = calls::open(conn, (execution, attempt), &wait.calls, now).await?;
    for row in &wait.outbox {
        row::insert(row, conn, now).await?;
    }
    if let Some(plan_run) = &wait.plan_run {
        plan_runs::write(conn, fence.execution, plan_run, now).await?;
    }
    match has_ended || was_answered {
        true => sqlx::query(GO_ON).bind(execution).bind(now).execute(conn).await?,
        false => sqlx::query(WAIT).bind(execution).execute(conn).await?,
    };
    Ok(())
}

/// Says whether the decision counts, and what the question is now. The execution is locked first: of two answers to its
/// last two questions, the later one then sees that it was the last.
async fn decide(
    conn: &mut PgConnection,
    id: ClarificationId,
    decision: &NewDecision,
    now: Now,
) -> Job<(bool, RawClarification)> {
    const LOCK: &str = "SELECT e.seq FROM executions e JOIN clarifications c ON c.execution = e.seq \
         WHERE c.id = $1 FOR NO KEY UPDATE OF e";
    const DECIDE: &str = "UPDATE clarifications SET status = $3, answer = $4, answered_by = $5, answered_at = now_ms($1) \
         WHERE id = $2 AND status = 'open' RETURNING execution, attempt, step";
    const SETTLE: &str = "UPDATE steps SET status = $5, settled_at = now_ms($1), \
             duration_ms = greatest(now_ms($1) - intended_at, 0), result = $6 \
         WHERE execution = $2 AND attempt = $3 AND seq = $4 AND status IN ('intended', 'unknown')";
    const GO_ON: &str = "UPDATE executions SET status = 'queued', available_at = now_ms($1) WHERE seq = $2 \
         AND status = 'waiting' AND NOT EXISTS ( \
             SELECT 1 FROM clarifications WHERE execution = $2 AND status = 'open')";
    sqlx::query(LOCK).bind(id.as_bytes().as_slice()).execute(&mut *conn).await?;
    let decided = sqlx::query(DECIDE)
        .bind(now)
        .bind(id.as_bytes().as_slice())
        .bind(decision.status.as_str())
        .bind(decision.answer.clone().map(|answer| answer.into_bytes()))
        .bind(&decision.by)
        .fetch_optional(&mut *conn)
        .await?;
    if let Some(decided) = &decided {
        let execution: i64 = decided.get_at(0)?;
        let settle = sqlx::query(SETTLE)
            .bind(now)
            .bind(execution)
            .bind(decided.get_at::<i32>(1)?)
            .bind(decided.get_at::<i32>(2)?)
            .bind(decision.step.as_str())
            .bind(decision.result.clone().into_bytes());
        settle.execute(&mut *conn).await?;
        sqlx::query(GO_ON).bind(now).bind(execution).execute(&mut *conn).await?;
        for row in &decision.outbox {
            row::insert(row, conn, now).await?;
        }
    }
    match find(conn, id).await? {
        Some(found) => Ok((decided.is_some(), found)),
        None => Err(Error::NotFound { what: format!("clarification {id}") }.into()),
    }
}

async fn escalate(conn: &mut PgConnection, id: ClarificationId, escalated: &NewEscalation, now: Now) -> Job<bool> {
    const ESCALATE: &str = "UPDATE clarifications SET question = $3, expires_at = now_ms($1) + $4 \
         WHERE id = $2 AND status = 'open' AND expires_at = $5";
    let done = sqlx::query(ESCALATE)
        .bind(now)
        .bind(id.as_bytes().as_slice())
        .bind(escalated.question.body.clone().into_bytes())
        .bind(escalated.question.expires_in_ms)
        .bind(escalated.expired_at)
        .execute(&mut *conn)
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    for row in &escalated.outbox {
        row::insert(row, conn, now).await?;
    }
    Ok(true)
}

async fn note(conn: &mut PgConnection, id: ClarificationId, card: &Card) -> Job<RawClarification> {
    const LOCK: &str = "SELECT 1 FROM clarifications WHERE id = $1 FOR NO KEY UPDATE";
    const NOTE: &str = "UPDATE clarifications SET cards = $2 WHERE id = $1";
    sqlx::query(LOCK).bind(id.as_bytes().as_slice()).execute(&mut *conn).await?;
    let Some(mut found) = find(conn, id).await? else {
        return Err(Error::NotFound { what: format!("clarification {id}") }.into());
    };
    if let Some(cards) = with_card(found.cards.as_deref(), card) {
        sqlx::query(NOTE).bind(id.as_bytes().as_slice()).bind(&cards).execute(conn).await?;
        found.cards = Some(cards);
    }
    Ok(found)
}

/// Ends what an execution that is cancelled still asks, and says so where it was shown.
pub(super) async fn cancel(conn: &mut PgConnection, execution: ExecutionId, now: Now) -> Job<()> {
    const SQL: &str = "UPDATE clarifications c SET status = 'cancelled' FROM executions e \
         WHERE c.status = 'open' AND e.seq = c.execution AND e.id = $1 RETURNING c.id, c.question, e.trace_id";
    let ended = sqlx::query(SQL).bind(execution.as_bytes().as_slice()).fetch_all(&mut *conn).await?;
    for asked in &ended {
        let id = ClarificationId::from_bytes(asked.id(0)?);
        if let Some(row) = cancelled(id, asked.word(2)?, asked.stored(1)?) {
            row::insert(&row, conn, now).await?;
        }
    }
    Ok(())
}

async fn find(conn: &mut PgConnection, id: ClarificationId) -> Job<Option<RawClarification>> {
    let sql =
        format!("SELECT {COLUMNS} FROM clarifications c JOIN executions e ON e.seq = c.execution WHERE c.id = $1");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(id.as_bytes().as_slice());
    query.fetch_optional(conn).await?.as_ref().map(read).transpose()
}

fn read(row: &PgRow) -> Job<RawClarification> {
    Ok(RawClarification {
        row: row.get_at(0)?,
        id: ClarificationId::from_bytes(row.id(1)?),
        execution_id: ExecutionId::from_bytes(row.id(2)?),
        agent: row.word(3)?,
        trace_id: row.word(4)?,
        attempt: row.small(5)?,
        seq: row.small(6)?,
        purpose: row.word(7)?,
        status: row.word(8)?,
        asked_at: row.get_at(9)?,
        expires_at: row.get_at(10)?,
        answered_by: row.get_at(11)?,
        answered_at: row.get_at(12)?,
        question: row.stored(13)?,
        answer: row.maybe_stored(14)?,
        event_type: row.get_at(15)?,
        cards: row.get_at(16)?,
    })
}
