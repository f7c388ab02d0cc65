//! Schedules: their next times, and what became of each firing.

use std::sync::Arc;

use greenroom_contract::{
    AgentId, BoxFuture, Event, EventId, ExecutionId,
    clock::to_millis,
    port::state::{
        Fire, Firing, IfBusy, NewFiring, Result, ScheduleRow, Scheduled, Schedules, SetSchedule, WaitingFiring,
    },
    status::{ExecutionStatus, FiringStatus},
};
use jiff::Timestamp;
use sqlx::{PgConnection, postgres::PgRow};

use super::{
    ask::{calling, key},
    columns::{Columns, int4},
    fault::Job,
    options::Now,
    row,
    store::PostgresState,
};
use crate::{refusal::conflict, row::NewRow};

/// A firing before it is written.
struct Planned {
    due_at: i64,
    stands_for: u32,
    if_busy: IfBusy,
    event: Event,
    row: NewRow,
}

impl Planned {
    fn new(agent: &AgentId, firing: NewFiring) -> Result<Self> {
        let NewFiring { due_at, stands_for, if_busy, event } = firing;
        let row = NewRow::event(&event, Some(agent.clone()), true)?;
        Ok(Self { due_at: to_millis(due_at), stands_for, if_busy, event, row })
    }

    /// Writes the firing down, and sends it if it fires. `None` if there was one of this time before.
    async fn write(
        &self,
        conn: &mut PgConnection,
        agent: &AgentId,
        (status, triggered): (FiringStatus, bool),
        now: Now,
    ) -> Job<Option<Firing>> {
        const SQL: &str = "INSERT INTO firings (agent, due_at, decided_at, status, open, triggered, stands_for, event_id, \
             execution_id, trace_id) VALUES ($2, $3, now_ms($1), $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING \
             RETURNING due_at, decided_at";
        let Self { due_at, stands_for, event, row, .. } = self;
        let execution_id = ExecutionId::of(agent, event.event_id);
        let fired = status == FiringStatus::Fired;
        let query = sqlx::query(SQL).bind(now).bind(agent.as_str()).bind(due_at).bind(status.as_str()).bind(fired);
        let query = query.bind(triggered).bind(int4(*stands_for)).bind(event.event_id.as_bytes().as_slice());
        let query = query.bind(execution_id.as_bytes().as_slice()).bind(event.trace_id.to_string());
        let Some(written) = query.fetch_optional(&mut *conn).await? else { return Ok(None) };
        if fired {
            row::insert(row, conn, now).await?;
        }
        Ok(Some(Firing {
            due_at: written.time(0)?,
            decided_at: written.time(1)?,
            status,
            triggered,
            stands_for: *stands_for,
            trace_id: event.trace_id,
            execution_id,
            execution_status: fired.then_some(ExecutionStatus::Queued),
        }))
    }
}

/// Notes which firings are over, and says how many are not, and how many wait. One is over when neither the outbox nor the
/// inbox has anything of it that has not ended.
async fn look_at(conn: &mut PgConnection, agent: &AgentId) -> Job<(u32, u32)> {
    const OVER: &str = "UPDATE firings f SET open = false WHERE f.agent = $1 AND f.open \
         AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.execution_id = f.execution_id) \
         AND NOT EXISTS (SELECT 1 FROM executions e WHERE e.id = f.execution_id AND e.finished_at IS NULL)";
    const BUSY: &str = "SELECT (SELECT count(*)::integer FROM firings WHERE agent = $1 AND open), \
         (SELECT count(*)::integer FROM firings WHERE agent = $1 AND status = 'waiting')";
    sqlx::query(OVER).bind(agent.as_str()).execute(&mut *conn).await?;
    let found = sqlx::query(BUSY).bind(agent.as_str()).fetch_one(conn).await?;
    Ok((found.small(0)?, found.small(1)?))
}

async fn list(store: &PostgresState) -> Result<Scheduled> {
    const NOW: &str = "SELECT now_ms($1)";
    const SQL: &str = "SELECT s.agent, s.digest, s.anchor, s.next_at, s.paused_since, \
             (SELECT count(*)::integer FROM firings w WHERE w.agent = s.agent AND w.status = 'waiting'), \
             f.due_at, f.decided_at, f.status, f.triggered, f.stands_for, f.trace_id, f.execution_id, \
             coalesce(e.status, CASE WHEN f.open THEN 'queued' END) \
         FROM schedules s LEFT JOIN LATERAL (SELECT * FROM firings m WHERE m.agent = s.agent \
             ORDER BY m.due_at DESC LIMIT 1) f ON true \
         LEFT JOIN executions e ON e.id = f.execution_id AND f.status = 'fired' ORDER BY s.agent";
    let call = calling::<Scheduled, _>(move |conn, now| {
        Box::pin(async move {
            // The clock first: a row that is read after it may be newer, and never older.
            let now = sqlx::query(NOW).bind(now).fetch_one(&mut *conn).await?.time(0)?;
            let rows = sqlx::query(SQL).fetch_all(conn).await?;
            let rows = rows.iter().filter_map(|row| schedule_row(row).transpose()).collect::<Job<_>>()?;
            Ok(Scheduled { now, rows })
        })
    });
    store.read(call).await
}

/// A name that an earlier version allowed and this one does not is no agent that could be here.
fn schedule_row(row: &PgRow) -> Job<Option<ScheduleRow>> {
    let Ok(agent) = row.get_at::<&str>(0)?.parse() else { return Ok(None) };
    let last = row.maybe_time(6)?.map(|_| firing(row, 6)).transpose()?;
    Ok(Some(ScheduleRow {
        agent,
        digest: row.get_at(1)?,
        anchor: row.time(2)?,
        next_at: row.maybe_time(3)?,
        paused_since: row.maybe_time(4)?,
        waiting: row.small(5)?,
        last,
    }))
}

/// A firing from eight neighbouring columns.
fn firing(row: &PgRow, at: usize) -> Job<Firing> {
    Ok(Firing {
        due_at: row.time(at)?,
        decided_at: row.time(at + 1)?,
        status: row.word(at + 2)?,
        triggered: row.get_at(at + 3)?,
        stands_for: row.small(at + 4)?,
        trace_id: row.word(at + 5)?,
        execution_id: ExecutionId::from_bytes(row.id(at + 6)?),
        execution_status: row.maybe_word(at + 7)?,
    })
}

async fn set(store: &PostgresState, set: SetSchedule) -> Result<bool> {
    const NEW: &str =
        "INSERT INTO schedules (agent, digest, anchor, next_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    const CHANGE: &str = "UPDATE schedules SET digest = $2, anchor = $3, \
         next_at = CASE WHEN paused_since IS NULL THEN $4::bigint END \
         WHERE agent = $1 AND digest = $5 AND next_at IS NOT DISTINCT FROM $6";
    const OVER: &str = "UPDATE firings SET status = 'skipped' WHERE agent = $1 AND status = 'waiting'";
    let SetSchedule { agent, seen, digest, anchor, next_at } = set;
    let lane = key(agent.as_str());
    let call = calling::<bool, _>(move |conn, _| {
        let (agent, seen, digest) = (agent.clone(), seen.clone(), digest.clone());
        Box::pin(async move {
            let query = sqlx::query(if seen.is_some() { CHANGE } else { NEW });
            let query = query.bind(agent.as_str()).bind(digest).bind(to_millis(anchor)).bind(next_at.map(to_millis));
            let query = match seen {
                Some((before, at)) => query.bind(before).bind(at.map(to_millis)),
                None => query,
            };
            let written = query.execute(&mut *conn).await?.rows_affected() == 1;
            if written && next_at.is_none() {
                sqlx::query(OVER).bind(agent.as_str()).execute(conn).await?;
            }
            Ok(written)
        })
    });
    store.transaction(vec![lane], call).await
}

async fn fire(store: &PostgresState, fire: Fire) -> Result<Option<Vec<Firing>>> {
    // Whoever has this row decides for the agent; the others wait here, and find it changed.
    const TAKE: &str = "UPDATE schedules SET next_at = $5 WHERE agent = $2 AND digest = $3 AND next_at = $4 \
         AND next_at <= now_ms($1) AND paused_since IS NULL";
    let Fire { agent, digest, due_at, next_at, missed, firings } = fire;
    let (due_at, next_at, lane) = (to_millis(due_at), next_at.map(to_millis), key(agent.as_str()));
    let missed = Arc::new(missed.map(|missed| Planned::new(&agent, missed)).transpose()?);
    let planned: Arc<[Planned]> =
        firings.into_iter().map(|firing| Planned::new(&agent, firing)).collect::<Result<_>>()?;
    let call = calling::<Option<Vec<Firing>>, _>(move |conn, now| {
        let (agent, digest, missed, planned) =
            (agent.clone(), digest.clone(), Arc::clone(&missed), Arc::clone(&planned));
        Box::pin(async move {
            let take = sqlx::query(TAKE).bind(now).bind(agent.as_str()).bind(digest).bind(due_at).bind(next_at);
            if take.execute(&mut *conn).await?.rows_affected() == 0 {
                return Ok(None);
            }
            let (mut at_work, mut waiting) = look_at(conn, &agent).await?;
            let mut done = Vec::with_capacity(planned.len() + 1);
            if let Some(missed) = &*missed {
                done.extend(missed.write(conn, &agent, (FiringStatus::Missed, false), now).await?);
            }
            for one in &*planned {
                let status = one.if_busy.decide(at_work, waiting);
                let written = one.write(conn, &agent, (status, false), now).await?;
                at_work += u32::from(written.as_ref().is_some_and(|firing| firing.status == FiringStatus::Fired));
                waiting += u32::from(written.as_ref().is_some_and(|firing| firing.status == FiringStatus::Waiting));
                done.extend(written);
            }
            Ok(Some(done))
        })
    });
    store.transaction(vec![lane], call).await
}

async fn trigger(store: &PostgresState, agent: AgentId, firing: NewFiring) -> Result<Firing> {
    let planned = Arc::new(Planned::new(&agent, firing)?);
    let lane = key(agent.as_str());
    let call = calling::<Firing, _>(move |conn, now| {
        let (agent, planned) = (agent.clone(), Arc::clone(&planned));
        Box::pin(async move {
            // What is over is noted also where nothing but operators fires it.
            look_at(conn, &agent).await?;
            let written = planned.write(conn, &agent, (FiringStatus::Fired, true), now).await?;
            written.ok_or_else(|| conflict(format!("{agent} has fired at this very time already")).into())
        })
    });
    store.transaction(vec![lane], call).await
}

async fn next_waiting(store: &PostgresState, agent: AgentId) -> Result<Option<WaitingFiring>> {
    const SQL: &str = "SELECT due_at, stands_for, event_id, trace_id FROM firings \
         WHERE agent = $1 AND status = 'waiting' AND NOT EXISTS (SELECT 1 FROM firings f WHERE f.agent = $1 AND f.open \
             AND (EXISTS (SELECT 1 FROM outbox o WHERE o.execution_id = f.execution_id) \
                 OR EXISTS (SELECT 1 FROM executions e WHERE e.id = f.execution_id AND e.finished_at IS NULL))) \
         ORDER BY due_at LIMIT 1";
    let call = calling::<Option<WaitingFiring>, _>(move |conn, _| {
        let agent = agent.clone();
        Box::pin(async move {
            let found = sqlx::query(SQL).bind(agent.as_str()).fetch_optional(conn).await?;
            let Some(row) = found else { return Ok(None) };
            let event_id = EventId::from_bytes(row.id(2)?);
            let (due_at, stands_for, trace_id) = (row.time(0)?, row.small(1)?, row.word(3)?);
            Ok(Some(WaitingFiring { due_at, stands_for, event_id, trace_id }))
        })
    });
    store.read(call).await
}

async fn release(store: &PostgresState, agent: AgentId, due_at: Timestamp, event: Event) -> Result<bool> {
    const HOLD: &str = "SELECT 1 FROM schedules WHERE agent = $1 FOR UPDATE";
    const SQL: &str = "UPDATE firings SET status = 'fired', open = true WHERE agent = $1 AND due_at = $2 AND status = 'waiting' \
         AND NOT EXISTS (SELECT 1 FROM schedules s WHERE s.agent = $1 AND s.paused_since IS NOT NULL)";
    let row = Arc::new(NewRow::event(&event, Some(agent.clone()), true)?);
    let lane = key(agent.as_str());
    let call = calling::<bool, _>(move |conn, now| {
        let (agent, row) = (agent.clone(), Arc::clone(&row));
        Box::pin(async move {
            sqlx::query(HOLD).bind(agent.as_str()).execute(&mut *conn).await?;
            if look_at(conn, &agent).await?.0 > 0 {
                return Ok(false);
            }
            let released = sqlx::query(SQL).bind(agent.as_str()).bind(to_millis(due_at)).execute(&mut *conn).await?;
            if released.rows_affected() == 0 {
                return Ok(false);
            }
            row::insert(&row, conn, now).await?;
            Ok(true)
        })
    });
    store.transaction(vec![lane], call).await
}

async fn pause(store: &PostgresState, agent: AgentId, paused: bool) -> Result<()> {
    const PAUSE: &str = "INSERT INTO schedules (agent, digest, anchor, paused_since) \
         VALUES ($2, '', now_ms($1), now_ms($1)) ON CONFLICT (agent) DO UPDATE \
         SET next_at = NULL, paused_since = coalesce(schedules.paused_since, excluded.paused_since)";
    const RESUME: &str = "UPDATE schedules SET next_at = NULL, paused_since = NULL \
         WHERE agent = $2 AND paused_since IS NOT NULL AND now_ms($1) IS NOT NULL";
    let lane = key(agent.as_str());
    let call = calling::<(), _>(move |conn, now| {
        let agent = agent.clone();
        Box::pin(async move {
            let query = sqlx::query(if paused { PAUSE } else { RESUME }).bind(now).bind(agent.as_str());
            query.execute(conn).await?;
            Ok(())
        })
    });
    store.statement(lane, call).await
}

async fn firings(store: &PostgresState, agent: AgentId, limit: u32) -> Result<Vec<Firing>> {
    const SQL: &str = "SELECT f.due_at, f.decided_at, f.status, f.triggered, f.stands_for, f.trace_id, f.execution_id, \
             coalesce(e.status, CASE WHEN f.open THEN 'queued' END) \
         FROM firings f LEFT JOIN executions e ON e.id = f.execution_id AND f.status = 'fired' \
         WHERE f.agent = $1 ORDER BY f.due_at DESC LIMIT $2";
    let call = calling::<Vec<Firing>, _>(move |conn, _| {
        let agent = agent.clone();
        Box::pin(async move {
            let rows = sqlx::query(SQL).bind(agent.as_str()).bind(i64::from(limit)).fetch_all(conn).await?;
            rows.iter().map(|row| firing(row, 0)).collect()
        })
    });
    store.read(call).await
}

impl Schedules for PostgresState {
    fn schedules(&self) -> BoxFuture<'_, Result<Scheduled>> {
        Box::pin(list(self))
    }

    fn set_schedule(&self, wanted: SetSchedule) -> BoxFuture<'_, Result<bool>> {
        Box::pin(set(self, wanted))
    }

    fn fire(&self, due: Fire) -> BoxFuture<'_, Result<Option<Vec<Firing>>>> {
        Box::pin(fire(self, due))
    }

    fn trigger_schedule(&self, agent: &AgentId, firing: NewFiring) -> BoxFuture<'_, Result<Firing>> {
        Box::pin(trigger(self, agent.clone(), firing))
    }

    fn next_waiting(&self, agent: &AgentId) -> BoxFuture<'_, Result<Option<WaitingFiring>>> {
        Box::pin(next_waiting(self, agent.clone()))
    }

    fn release_firing(&self, agent: &AgentId, due_at: Timestamp, event: Event) -> BoxFuture<'_, Result<bool>> {
        Box::pin(release(self, agent.clone(), due_at, event))
    }

    fn pause_schedule(&self, agent: &AgentId, paused: bool) -> BoxFuture<'_, Result<()>> {
        Box::pin(pause(self, agent.clone(), paused))
    }

    fn firings(&self, agent: &AgentId, limit: u32) -> BoxFuture<'_, Result<Vec<Firing>>> {
        Box::pin(firings(self, agent.clone(), limit))
    }
}
