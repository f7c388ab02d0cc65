//! Questions to people: an execution waits, and goes on with the last answer.

use greenroom_contract::{
    BoxFuture, ClarificationId, ExecutionId, TraceId,
    clarification::{Card, Clarification},
    execution::Fence,
    page::{Page, PageRequest},
    port::state::{ClarificationFilter, Clarifications, Decided, Decision, Error, Escalated, Result, Wait},
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    calls,
    columns::Word,
    job::{Job, refuse, run},
    journal::hold,
    plan_runs,
    store::SqliteState,
};
use crate::{
    clarification::{COLUMNS, LIST, NewDecision, NewEscalation, NewWait, RawClarification, cancelled, with_card},
    codec::Stored,
    refusal::no_step,
};

impl Clarifications for SqliteState {
    fn wait(&self, fence: Fence, wait: Wait) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let (wait, now) = (NewWait::prepare(wait)?, self.now());
            self.write(move |conn| ask(conn, fence, &wait, now)).await
        })
    }

    fn decide(&self, id: ClarificationId, decision: Decision) -> BoxFuture<'_, Result<Decided>> {
        Box::pin(async move {
            let (decision, now) = (NewDecision::prepare(decision)?, self.now());
            let (counts, raw) = self.write(move |conn| decide(conn, id, &decision, now)).await?;
            let (_, decided) = raw.open();
            Ok(if counts { Decided::Now(decided) } else { Decided::Before(decided) })
        })
    }

    fn escalate(&self, id: ClarificationId, escalated: Escalated) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async move {
            let (escalated, now) = (NewEscalation::prepare(escalated)?, self.now());
            self.write(move |conn| escalate(conn, id, &escalated, now)).await
        })
    }

    fn clarification(&self, id: ClarificationId) -> BoxFuture<'_, Result<Option<Clarification>>> {
        Box::pin(async move { Ok(self.read(move |conn| Ok(find(conn, id)?)).await?.map(|raw| raw.open().1)) })
    }

    fn clarifications(
        &self,
        filter: ClarificationFilter,
        page: PageRequest,
    ) -> BoxFuture<'_, Result<Page<Clarification>>> {
        Box::pin(async move {
            let wanted = LIST.wanted(&page)?;
            let sql = format!(
                "SELECT {COLUMNS} FROM clarifications c JOIN executions e ON e.seq = c.execution \
                 WHERE c.seq < ?1 AND (?2 IS NULL OR c.agent = ?2) AND (?3 IS NULL OR e.id = ?3) \
                 AND (?4 IS NULL OR c.status = ?4) ORDER BY c.seq DESC LIMIT ?5 + 0"
            );
            let rows: Vec<RawClarification> = self
                .read(move |conn| {
                    let agent = filter.agent.as_ref().map(|agent| agent.as_str());
                    let execution = filter.execution.as_ref().map(ExecutionId::as_bytes);
                    let status = filter.status.map(|status| status.as_str());
                    let mut statement = conn.prepare_cached(&sql)?;
                    let rows =
                        statement.query_map(params![wanted.below, agent, execution, status, wanted.rows], read)?;
                    Ok(rows.collect::<rusqlite::Result<_>>()?)
                })
                .await?;
            Ok(LIST.page(rows.into_iter().map(RawClarification::open).collect(), wanted.rows))
        })
    }

    fn note_card(&self, id: ClarificationId, card: Card) -> BoxFuture<'_, Result<Clarification>> {
        Box::pin(async move { Ok(self.write(move |conn| note(conn, id, &card)).await?.open().1) })
    }

    fn overdue(&self, limit: u32) -> BoxFuture<'_, Result<Vec<Clarification>>> {
        Box::pin(async move {
            let now = self.now();
            let sql = format!(
                "SELECT {COLUMNS} FROM clarifications c INDEXED BY clarifications_open \
                 JOIN executions e ON e.seq = c.execution \
                 WHERE c.status = 'open' AND c.expires_at <= ?1 ORDER BY c.expires_at LIMIT ?2 + 0"
            );
            let rows: Vec<RawClarification> = self
                .read(move |conn| {
                    let mut statement = conn.prepare_cached(&sql)?;
                    let rows = statement.query_map(params![now, limit], read)?;
                    Ok(rows.collect::<rusqlite::Result<_>>()?)
                })
                .await?;
            Ok(rows.into_iter().map(|raw| raw.open().1).collect())
        })
    }
}

fn ask(conn: &Connection, fence: Fence, wait: &NewWait, now: i64) -> Job<()> {
    const STEP: &str = "SELECT 1 FROM steps WHERE execution = ?1 AND attempt = ?2 AND seq = ?3 \
             AND status IN ('intended', 'unknown')";
    const ASK: &str = "INSERT INTO clarifications \
             (id, execution, attempt, step, agent, purpose, status, asked_at, expires_at, question) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'open', ?7, ?8, ?9) ON CONFLICT (id) DO NOTHING";
    const WAIT: &str = "UPDATE executions SET status = 'waiting' WHERE seq = ?1";
    const GO_ON: &str = "UPDATE executions SET status = 'queued', available_at = ?2 WHERE seq = ?1";
    const ENDED: &str = "SELECT 1 FROM clarifications WHERE id = ?1 AND status <> 'open'";
    let held = hold(conn, fence)?;
    let mut was_answered = false;
    for question in &wait.questions {
        // One that was asked before may have been answered while the execution was at work for the sake of a call.
        if conn.prepare_cached(ENDED)?.exists([question.id(fence, held.attempt).as_bytes()])? {
            was_answered = true;
            continue;
        }
        if !conn.prepare_cached(STEP)?.exists(params![held.seq, held.attempt, question.seq])? {
            return refuse(no_step(question.seq, held.attempt));
        }
        let id = question.id(fence, held.attempt);
        let row = params![
            id.as_bytes(),
            held.seq,
            held.attempt,
            question.seq,
            held.agent,
            question.purpose.as_str(),
            now,
            question.expires_at(now),
            question.body,
        ];
        run(conn, ASK, row)?;
    }
    let has_ended = calls::open(conn, &held, &wait.calls, now)?;
    for row in &wait.outbox {
        row.insert(conn, None, now)?;
    }
    if let Some(plan_run) = &wait.plan_run {
        plan_runs::write(conn, &held, plan_run, now)?;
    }
    match has_ended || was_answered {
        true => run(conn, GO_ON, params![held.seq, now])?,
        false => run(conn, WAIT, [held.seq])?,
    };
    Ok(())
}

/// Says whether the decision counts, and what the question is now.
fn decide(conn: &Connection, id: ClarificationId, decision: &NewDecision, now: i64) -> Job<(bool, RawClarification)> {
    const DECIDE: &str = "UPDATE clarifications SET status = ?2, answer = ?3, answered_by = ?4, answered_at = ?5 \
         WHERE id = ?1 AND status = 'open' RETURNING execution, attempt, step";
    const SETTLE: &str = "UPDATE steps SET status = ?4, settled_at = ?5, duration_ms = max(?5 - intended_at, 0), \
             result = ?6 WHERE execution = ?1 AND attempt = ?2 AND seq = ?3 \
             AND status IN ('intended', 'unknown')";
    const GO_ON: &str = "UPDATE executions SET status = 'queued', available_at = ?2 WHERE seq = ?1 \
         AND status = 'waiting' AND NOT EXISTS ( \
             SELECT 1 FROM clarifications WHERE execution = ?1 AND status = 'open')";
    let decided: Option<(i64, u32, u32)> = conn
        .prepare_cached(DECIDE)?
        .query_row(params![id.as_bytes(), decision.status.as_str(), decision.answer, decision.by, now], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    if let Some((execution, attempt, seq)) = decided {
        run(conn, SETTLE, params![execution, attempt, seq, decision.step.as_str(), now, decision.result])?;
        run(conn, GO_ON, params![execution, now])?;
        for row in &decision.outbox {
            row.insert(conn, None, now)?;
        }
    }
    match find(conn, id)? {
        Some(found) => Ok((decided.is_some(), found)),
        None => refuse(Error::NotFound { what: format!("clarification {id}") }),
    }
}

fn escalate(conn: &Connection, id: ClarificationId, escalated: &NewEscalation, now: i64) -> Job<bool> {
    const ESCALATE: &str = "UPDATE clarifications SET question = ?2, expires_at = ?3 \
         WHERE id = ?1 AND status = 'open' AND expires_at = ?4";
    let question = &escalated.question;
    let row = params![id.as_bytes(), question.body, question.expires_at(now), escalated.expired_at];
    let is_it = conn.prepare_cached(ESCALATE)?.execute(row)? == 1;
    if is_it {
        for row in &escalated.outbox {
            row.insert(conn, None, now)?;
        }
    }
    Ok(is_it)
}

fn note(conn: &Connection, id: ClarificationId, card: &Card) -> Job<RawClarification> {
    const NOTE: &str = "UPDATE clarifications SET cards = ?2 WHERE id = ?1";
    let Some(mut found) = find(conn, id)? else {
        return refuse(Error::NotFound { what: format!("clarification {id}") });
    };
    if let Some(cards) = with_card(found.cards.as_deref(), card) {
        run(conn, NOTE, params![id.as_bytes(), cards])?;
        found.cards = Some(cards);
    }
    Ok(found)
}

/// Ends what an execution that is cancelled still asks, and says so where it was shown.
pub(super) fn cancel(conn: &Connection, execution: ExecutionId, now: i64) -> rusqlite::Result<()> {
    const SQL: &str = "UPDATE clarifications SET status = 'cancelled' WHERE status = 'open' \
         AND execution = (SELECT seq FROM executions WHERE id = ?1) \
         RETURNING id, question, (SELECT trace_id FROM executions WHERE id = ?1)";
    let mut statement = conn.prepare_cached(SQL)?;
    let ended = statement.query_map([execution.as_bytes()], |row| {
        let id = ClarificationId::from_bytes(row.get(0)?);
        Ok((id, row.get::<_, Stored>(1)?, row.get::<_, Word<TraceId>>(2)?.0))
    })?;
    for (id, question, trace_id) in ended.collect::<rusqlite::Result<Vec<_>>>()? {
        if let Some(row) = cancelled(id, trace_id, question) {
            row.insert(conn, None, now)?;
        }
    }
    Ok(())
}

fn find(conn: &Connection, id: ClarificationId) -> rusqlite::Result<Option<RawClarification>> {
    let sql =
        format!("SELECT {COLUMNS} FROM clarifications c JOIN executions e ON e.seq = c.execution WHERE c.id = ?1");
    conn.prepare_cached(&sql)?.query_row([id.as_bytes()], read).optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<RawClarification> {
    Ok(RawClarification {
        row: row.get(0)?,
        id: ClarificationId::from_bytes(row.get(1)?),
        execution_id: ExecutionId::from_bytes(row.get(2)?),
        agent: row.get::<_, Word<_>>(3)?.0,
        trace_id: row.get::<_, Word<_>>(4)?.0,
        attempt: row.get(5)?,
        seq: row.get(6)?,
        purpose: row.get::<_, Word<_>>(7)?.0,
        status: row.get::<_, Word<_>>(8)?.0,
        asked_at: row.get(9)?,
        expires_at: row.get(10)?,
        answered_by: row.get(11)?,
        answered_at: row.get(12)?,
        question: row.get(13)?,
        answer: row.get(14)?,
        event_type: row.get(15)?,
        cards: row.get(16)?,
    })
}
