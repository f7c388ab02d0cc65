//! Schedules: their next times, and what became of each firing.

use greenroom_contract::{
    AgentId, BoxFuture, Event, EventId, ExecutionId,
    clock::{from_millis, to_millis},
    port::state::{
        Fire, Firing, IfBusy, NewFiring, Result, ScheduleRow, Scheduled, Schedules, SetSchedule, WaitingFiring,
    },
    status::FiringStatus,
};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    columns::Word,
    job::{Job, refuse, run},
    store::SqliteState,
};
use crate::{refusal::conflict, row::NewRow};

/// A firing that has fired is over when neither the outbox nor the inbox has anything of it that has not ended.
const GOING_ON: &str = "(EXISTS (SELECT 1 FROM outbox o WHERE o.execution_id = firings.execution_id) \
     OR EXISTS (SELECT 1 FROM executions e WHERE e.id = firings.execution_id AND e.finished_at IS NULL))";

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
    fn write(
        &self,
        conn: &Connection,
        agent: &AgentId,
        status: FiringStatus,
        triggered: bool,
        now: i64,
    ) -> rusqlite::Result<Option<Firing>> {
        const SQL: &str = "INSERT INTO firings (agent, due_at, decided_at, status, open, triggered, stands_for, event_id, \
             execution_id, trace_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING";
        let Self { due_at, stands_for, event, row, .. } = self;
        let execution_id = ExecutionId::of(agent, event.event_id);
        let fired = status == FiringStatus::Fired;
        let firing = params![
            agent.as_str(),
            due_at,
            now,
            status.as_str(),
            fired,
            triggered,
            stands_for,
            event.event_id.as_bytes(),
            execution_id.as_bytes(),
            event.trace_id.to_string(),
        ];
        if run(conn, SQL, firing)? == 0 {
            return Ok(None);
        }
        if fired {
            row.insert(conn, None, now)?;
        }
        Ok(Some(Firing {
            due_at: from_millis(*due_at),
            decided_at: from_millis(now),
            status,
            triggered,
            stands_for: *stands_for,
            trace_id: event.trace_id,
            execution_id,
            execution_status: fired.then_some(greenroom_contract::status::ExecutionStatus::Queued),
        }))
    }
}

/// Notes which firings are over, and says how many are not, and how many wait.
fn look_at(conn: &Connection, agent: &AgentId) -> rusqlite::Result<(u32, u32)> {
    const BUSY: &str = "SELECT (SELECT count(*) FROM firings WHERE agent = ?1 AND open = 1), \
         (SELECT count(*) FROM firings WHERE agent = ?1 AND status = 'waiting')";
    run(
        conn,
        &format!("UPDATE firings SET open = 0 WHERE agent = ?1 AND open = 1 AND NOT {GOING_ON}"),
        [agent.as_str()],
    )?;
    conn.prepare_cached(BUSY)?.query_row([agent.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
}

async fn list(store: &SqliteState) -> Result<Scheduled> {
    const SQL: &str = "SELECT s.agent, s.digest, s.anchor, s.next_at, s.paused_since, \
             (SELECT count(*) FROM firings w WHERE w.agent = s.agent AND w.status = 'waiting'), \
             f.due_at, f.decided_at, f.status, f.triggered, f.stands_for, f.trace_id, f.execution_id, \
             coalesce(e.status, CASE WHEN f.open = 1 THEN 'queued' END) \
         FROM schedules s \
         LEFT JOIN firings f ON f.agent = s.agent AND f.due_at = (SELECT max(due_at) FROM firings m WHERE m.agent = s.agent) \
         LEFT JOIN executions e ON e.id = f.execution_id AND f.status = 'fired' ORDER BY s.agent";
    let now = store.now();
    let rows: Vec<Option<ScheduleRow>> = store
        .read(move |conn| {
            let mut statement = conn.prepare_cached(SQL)?;
            let rows = statement.query_map([], schedule_row)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await?;
    Ok(Scheduled { now: from_millis(now), rows: rows.into_iter().flatten().collect() })
}

/// A name that an earlier version allowed and this one does not is no agent that could be here.
fn schedule_row(row: &Row<'_>) -> rusqlite::Result<Option<ScheduleRow>> {
    let Ok(agent) = row.get::<_, String>(0)?.parse() else { return Ok(None) };
    let last = match row.get::<_, Option<i64>>(6)? {
        Some(_) => Some(firing(row, 6)?),
        None => None,
    };
    Ok(Some(ScheduleRow {
        agent,
        digest: row.get(1)?,
        anchor: from_millis(row.get(2)?),
        next_at: row.get::<_, Option<i64>>(3)?.map(from_millis),
        paused_since: row.get::<_, Option<i64>>(4)?.map(from_millis),
        waiting: row.get(5)?,
        last,
    }))
}

/// A firing from eight neighbouring columns.
fn firing(row: &Row<'_>, at: usize) -> rusqlite::Result<Firing> {
    Ok(Firing {
        due_at: from_millis(row.get(at)?),
        decided_at: from_millis(row.get(at + 1)?),
        status: row.get::<_, Word<_>>(at + 2)?.0,
        triggered: row.get(at + 3)?,
        stands_for: row.get(at + 4)?,
        trace_id: row.get::<_, Word<_>>(at + 5)?.0,
        execution_id: ExecutionId::from_bytes(row.get(at + 6)?),
        execution_status: row.get::<_, Option<Word<_>>>(at + 7)?.map(|word| word.0),
    })
}

async fn set(store: &SqliteState, set: SetSchedule) -> Result<bool> {
    const NEW: &str =
        "INSERT INTO schedules (agent, digest, anchor, next_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
    const CHANGE: &str = "UPDATE schedules SET digest = ?2, anchor = ?3, \
         next_at = CASE WHEN paused_since IS NULL THEN ?4 END WHERE agent = ?1 AND digest = ?5 AND next_at IS ?6";
    const OVER: &str = "UPDATE firings SET status = 'skipped' WHERE agent = ?1 AND status = 'waiting'";
    let SetSchedule { agent, seen, digest, anchor, next_at } = set;
    let (anchor, next_at) = (to_millis(anchor), next_at.map(to_millis));
    store
        .write(move |conn| {
            let written = match &seen {
                None => run(conn, NEW, params![agent.as_str(), digest, anchor, next_at])?,
                Some((before, at)) => {
                    let at = at.map(to_millis);
                    run(conn, CHANGE, params![agent.as_str(), digest, anchor, next_at, before, at])?
                }
            };
            if written == 1 && next_at.is_none() {
                run(conn, OVER, [agent.as_str()])?;
            }
            Ok(written == 1)
        })
        .await
}

async fn fire(store: &SqliteState, fire: Fire) -> Result<Option<Vec<Firing>>> {
    const TAKE: &str = "UPDATE schedules SET next_at = ?4 WHERE agent = ?1 AND digest = ?2 AND next_at = ?3 \
         AND next_at <= ?5 AND paused_since IS NULL";
    let Fire { agent, digest, due_at, next_at, missed, firings } = fire;
    let (due_at, next_at, now) = (to_millis(due_at), next_at.map(to_millis), store.now());
    let missed = missed.map(|missed| Planned::new(&agent, missed)).transpose()?;
    let planned = firings.into_iter().map(|firing| Planned::new(&agent, firing)).collect::<Result<Vec<_>>>()?;
    store
        .write(move |conn| {
            if run(conn, TAKE, params![agent.as_str(), digest, due_at, next_at, now])? == 0 {
                return Ok(None);
            }
            let (mut at_work, mut waiting) = look_at(conn, &agent)?;
            let mut done = Vec::with_capacity(planned.len() + 1);
            if let Some(missed) = missed {
                done.extend(missed.write(conn, &agent, FiringStatus::Missed, false, now)?);
            }
            for one in planned {
                let written = one.write(conn, &agent, one.if_busy.decide(at_work, waiting), false, now)?;
                at_work += u32::from(written.as_ref().is_some_and(|firing| firing.status == FiringStatus::Fired));
                waiting += u32::from(written.as_ref().is_some_and(|firing| firing.status == FiringStatus::Waiting));
                done.extend(written);
            }
            Ok(Some(done))
        })
        .await
}

async fn trigger(store: &SqliteState, agent: AgentId, firing: NewFiring) -> Result<Firing> {
    let planned = Planned::new(&agent, firing)?;
    let now = store.now();
    store
        .write(move |conn| {
            // What is over is noted also where nothing but operators fires it.
            look_at(conn, &agent)?;
            match planned.write(conn, &agent, FiringStatus::Fired, true, now)? {
                Some(firing) => Ok(firing),
                None => refuse(conflict(format!("{agent} has fired at this very time already"))),
            }
        })
        .await
}

async fn next_waiting(store: &SqliteState, agent: AgentId) -> Result<Option<WaitingFiring>> {
    let sql = format!(
        "SELECT due_at, stands_for, event_id, trace_id FROM firings WHERE agent = ?1 AND status = 'waiting' AND NOT EXISTS ( \
         SELECT 1 FROM firings WHERE agent = ?1 AND open = 1 AND {GOING_ON}) ORDER BY due_at LIMIT 1"
    );
    store
        .read(move |conn| {
            let found = conn.prepare_cached(&sql)?.query_row([agent.as_str()], |row| {
                Ok(WaitingFiring {
                    due_at: from_millis(row.get(0)?),
                    stands_for: row.get(1)?,
                    event_id: EventId::from_bytes(row.get(2)?),
                    trace_id: row.get::<_, Word<_>>(3)?.0,
                })
            });
            Ok(found.optional()?)
        })
        .await
}

async fn release(store: &SqliteState, agent: AgentId, due_at: Timestamp, event: Event) -> Result<bool> {
    const SQL: &str = "UPDATE firings SET status = 'fired', open = 1 WHERE agent = ?1 AND due_at = ?2 AND status = 'waiting' \
         AND NOT EXISTS (SELECT 1 FROM schedules s WHERE s.agent = ?1 AND s.paused_since IS NOT NULL)";
    let row = NewRow::event(&event, Some(agent.clone()), true)?;
    let now = store.now();
    store
        .write(move |conn| -> Job<bool> {
            let (at_work, _) = look_at(conn, &agent)?;
            if at_work > 0 || run(conn, SQL, params![agent.as_str(), to_millis(due_at)])? == 0 {
                return Ok(false);
            }
            row.insert(conn, None, now)?;
            Ok(true)
        })
        .await
}

async fn pause(store: &SqliteState, agent: AgentId, paused: bool) -> Result<()> {
    const PAUSE: &str = "INSERT INTO schedules (agent, digest, anchor, paused_since) VALUES (?1, '', ?2, ?2) \
         ON CONFLICT (agent) DO UPDATE SET next_at = NULL, paused_since = coalesce(paused_since, excluded.paused_since)";
    const RESUME: &str = "UPDATE schedules SET next_at = NULL, paused_since = NULL \
         WHERE agent = ?1 AND paused_since IS NOT NULL";
    let now = store.now();
    store
        .write(move |conn| {
            match paused {
                true => run(conn, PAUSE, params![agent.as_str(), now])?,
                false => run(conn, RESUME, [agent.as_str()])?,
            };
            Ok(())
        })
        .await
}

async fn firings(store: &SqliteState, agent: AgentId, limit: u32) -> Result<Vec<Firing>> {
    const SQL: &str = "SELECT f.due_at, f.decided_at, f.status, f.triggered, f.stands_for, f.trace_id, f.execution_id, \
             coalesce(e.status, CASE WHEN f.open = 1 THEN 'queued' END) \
         FROM firings f LEFT JOIN executions e ON e.id = f.execution_id AND f.status = 'fired' \
         WHERE f.agent = ?1 ORDER BY f.due_at DESC LIMIT ?2 + 0";
    store
        .read(move |conn| {
            let mut statement = conn.prepare_cached(SQL)?;
            let rows = statement.query_map(params![agent.as_str(), limit], |row| firing(row, 0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
}

impl Schedules for SqliteState {
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
