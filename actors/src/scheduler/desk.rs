//! The scheduler at its desk: what is due is fired, what changed is noted, and when to look again is known.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use greenroom_config::{AgentSpec, spec::Schedule};
use greenroom_contract::{
    AgentId, BoxFuture, TraceId,
    port::state::{Error, Fire, Firing, NewFiring, ScheduleRow, SetSchedule},
    status::FiringStatus,
};
use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    event::event_of,
    step::{Due, Plan, plan},
    timetable::Timetable,
};
use crate::ports::Ports;

/// How long what others change may go unseen.
const READ_ANYWAY: Duration = Duration::from_secs(5);
/// The same while a firing waits for its turn: its agent may be done at any moment, on any node.
const TURNS: Duration = Duration::from_millis(500);
/// So many agents at a time.
const AT_ONCE: usize = 16;
/// A row of another schedule that has been due for so long is served by nobody, and is taken over.
const DESERTED: Duration = Duration::from_secs(60);

/// What a scheduler keeps in mind between two looks. Whatever it decides, it decides by the rows: what it remembers of them only
/// says when to ask, and for whom.
pub(super) struct Desk {
    ports: Arc<Ports>,
    /// The agents with schedules at the last look. `None` before the first one.
    known: Option<BTreeMap<AgentId, Known>>,
    book: Option<Book>,
}

#[derive(Clone)]
struct Known {
    spec: Arc<AgentSpec>,
    times: Arc<Timetable>,
}

/// The rows as they were read, and what was done about them since; without those that other nodes see to.
struct Book {
    rows: BTreeMap<AgentId, ScheduleRow>,
    /// The store's clock when they were read. It goes on as ours does, whatever ours says.
    now: Timestamp,
    read: Instant,
}

impl Book {
    fn now(&self) -> Timestamp {
        self.now.checked_add(self.read.elapsed()).unwrap_or(self.now)
    }

    /// How long there is nothing to do.
    fn wait(&self) -> Duration {
        let now = self.now();
        let free = self.rows.values().filter(|row| row.paused_since.is_none());
        let one = |row: &ScheduleRow| {
            let next = row.next_at.map_or(READ_ANYWAY, |at| until(at, now));
            if row.waiting > 0 { next.min(TURNS) } else { next }
        };
        let wait = free.map(one).min().unwrap_or(READ_ANYWAY);
        // A little late rather than a little early: early would find nothing due.
        wait.min(READ_ANYWAY.saturating_sub(self.read.elapsed())) + Duration::from_millis(1)
    }
}

impl Desk {
    pub(super) fn new(ports: Arc<Ports>) -> Self {
        Self { ports, known: None, book: None }
    }

    /// Whether what was read last is young enough to go by.
    pub(super) fn is_current(&self) -> bool {
        self.book.as_ref().is_some_and(|book| book.read.elapsed() < READ_ANYWAY)
    }

    /// Reads every schedule anew and does what is to be done, and says how long there is nothing.
    pub(super) async fn read(&mut self, agents: Vec<Arc<AgentSpec>>) -> Result<Duration, Error> {
        self.book = None;
        // What was known is known still if this does not come to its end, and what could not be written is still news.
        let before = self.known.clone();
        let known = read(agents, before.as_ref());
        let scheduled = self.ports.state.schedules().await?;
        let mut book = Book { rows: BTreeMap::new(), now: scheduled.now, read: Instant::now() };
        let mut rows: BTreeMap<AgentId, ScheduleRow> =
            scheduled.rows.into_iter().map(|row| (row.agent.clone(), row)).collect();
        for agent in before.iter().flatten().map(|(agent, _)| agent).filter(|agent| !known.contains_key(*agent)) {
            if let Some(row) = rows.remove(agent) {
                self.rest(row).await?;
            }
        }
        let mut looks: Vec<Look<'_>> = Vec::with_capacity(known.len());
        for (agent, one) in &known {
            let changed = match &before {
                None => true,
                Some(before) => before.get(agent).is_none_or(|old| old.times.digest() != one.times.digest()),
            };
            looks.push(Box::pin(look_at(&self.ports, one, rows.remove(agent), changed, book.now)));
        }
        all(looks, &mut book).await?;
        // Agents that nobody knows: they went while no scheduler was there to see it. Another node that knows them serves them,
        // so that theirs is not due for long.
        for row in rows.into_values().filter(|row| is_deserted(row, book.now)) {
            self.rest(row).await?;
        }
        self.known = Some(known);
        let wait = book.wait();
        self.book = Some(book);
        Ok(wait)
    }

    /// Does what is to be done by now, by what was read last.
    pub(super) async fn serve(&mut self) -> Result<Duration, Error> {
        let (Some(mut book), Some(known)) = (self.book.take(), &self.known) else { return Ok(Duration::ZERO) };
        let now = book.now();
        let due = |row: &ScheduleRow| row.next_at.is_some_and(|at| at <= now) || row.waiting > 0;
        let due: Vec<AgentId> = book.rows.values().filter(|row| due(row)).map(|row| row.agent.clone()).collect();
        let mut looks: Vec<Look<'_>> = Vec::with_capacity(due.len());
        for agent in due {
            if let (Some(one), Some(row)) = (known.get(&agent), book.rows.remove(&agent)) {
                looks.push(Box::pin(look_at(&self.ports, one, Some(row), false, now)));
            }
        }
        all(looks, &mut book).await?;
        let wait = book.wait();
        self.book = Some(book);
        Ok(wait)
    }

    /// The agent is gone, or has no schedule any more. A pause outlasts that.
    async fn rest(&self, row: ScheduleRow) -> Result<(), Error> {
        let ScheduleRow { agent, digest, anchor, next_at, .. } = row;
        if next_at.is_some() {
            tracing::info!(%agent, "The schedule rests: its agent is gone, or wakes by itself no more.");
            let set = SetSchedule { agent, seen: Some((digest.clone(), next_at)), digest, anchor, next_at: None };
            self.ports.state.set_schedule(set).await?;
        }
        Ok(())
    }
}

/// Whether a time has been due for so long that nobody can be there who serves it.
fn is_deserted(row: &ScheduleRow, now: Timestamp) -> bool {
    row.paused_since.is_none()
        && row.next_at.is_some_and(|at| now.duration_since(at) > DESERTED.try_into().unwrap_or_default())
}

/// A look at one schedule: its row as it is afterwards, or nothing if another node sees to it.
type Look<'a> = BoxFuture<'a, Result<Option<ScheduleRow>, Error>>;

/// Looks at several, and writes down what was found. One that fails keeps none from its turn.
async fn all(looks: Vec<Look<'_>>, book: &mut Book) -> Result<(), Error> {
    let mut failed = None;
    let mut looks = stream::iter(looks).buffer_unordered(AT_ONCE);
    while let Some(one) = looks.next().await {
        match one {
            Ok(Some(row)) => drop(book.rows.insert(row.agent.clone(), row)),
            Ok(None) => {}
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(()), Err)
}

async fn look_at(
    ports: &Ports,
    one: &Known,
    row: Option<ScheduleRow>,
    changed: bool,
    now: Timestamp,
) -> Result<Option<ScheduleRow>, Error> {
    let Some(row) = row else { return set(ports, one, None, now, now).await.map(Some) };
    if row.paused_since.is_some() {
        // What waits for its turn is held, too.
        return Ok(Some(row));
    }
    let row = release(ports, one, row).await?;
    match row.next_at {
        _ if row.digest != one.times.digest() => {
            if !changed && row.next_at.is_some() && !is_deserted(&row, now) {
                // Another node knows another version of the file, and sees to it.
                return Ok(None);
            }
            set(ports, one, Some(row), now, now).await.map(Some)
        }
        None => {
            let anchor = row.anchor;
            set(ports, one, Some(row), anchor, now).await.map(Some)
        }
        Some(due_at) if due_at > now => Ok(Some(row)),
        Some(due_at) => fire(ports, one, row, due_at, now).await.map(Some),
    }
}

async fn set(
    ports: &Ports,
    one: &Known,
    row: Option<ScheduleRow>,
    anchor: Timestamp,
    now: Timestamp,
) -> Result<ScheduleRow, Error> {
    let next_at = one.times.next(anchor, now);
    let (agent, digest) = (one.spec.name.clone(), one.times.digest().to_owned());
    let mut known = row.as_ref().is_some_and(|row| row.digest == digest && row.next_at == next_at);
    if !known {
        let seen = row.as_ref().map(|row| (row.digest.clone(), row.next_at));
        tracing::info!(%agent, next_at = next_at.map(|at| at.to_string()), "The schedule is set.");
        let set = SetSchedule { agent: agent.clone(), seen, digest: digest.clone(), anchor, next_at };
        known = ports.state.set_schedule(set).await?;
    }
    // Another node was first: what it has written is read with the rest.
    let next_at = next_at.filter(|_| known);
    let (waiting, last) = row.map(|row| (row.waiting, row.last)).unwrap_or_default();
    Ok(ScheduleRow { agent, digest, anchor, next_at, paused_since: None, waiting, last })
}

async fn fire(
    ports: &Ports,
    one: &Known,
    mut row: ScheduleRow,
    due_at: Timestamp,
    now: Timestamp,
) -> Result<ScheduleRow, Error> {
    let Some(schedule) = &one.spec.schedule else { return Ok(row) };
    let Plan { firings, missed, next_at } = plan(&one.times, schedule, row.anchor, due_at, now);
    let new = |due: Due| NewFiring {
        due_at: due.due_at,
        stands_for: due.stands_for,
        if_busy: due.if_busy,
        event: event_of(&one.spec, due.due_at, due.stands_for, TraceId::new()),
    };
    let fire = Fire {
        agent: row.agent.clone(),
        digest: row.digest.clone(),
        due_at,
        next_at,
        missed: missed.map(new),
        firings: firings.into_iter().map(new).collect(),
    };
    // Nothing was decided here if another node was first: then its next time is the same.
    let decided = ports.state.fire(fire).await?.unwrap_or_default();
    decided.iter().for_each(|firing| tell(&row.agent, schedule, firing));
    if !decided.is_empty() {
        ports.outbox.ring();
    }
    row.next_at = next_at;
    row.waiting += decided.iter().filter(|firing| firing.status == FiringStatus::Waiting).count() as u32;
    Ok(row)
}

/// Lets the next one that waits fire, if its turn has come.
async fn release(ports: &Ports, one: &Known, mut row: ScheduleRow) -> Result<ScheduleRow, Error> {
    let agent = &one.spec.name;
    if row.waiting > 0
        && let Some(next) = ports.state.next_waiting(agent).await?
    {
        let event = event_of(&one.spec, next.due_at, next.stands_for, next.trace_id);
        if ports.state.release_firing(agent, next.due_at, event).await? {
            tracing::info!(%agent, trace_id = %next.trace_id, due_at = %next.due_at, "A firing that waited has its turn.");
            row.waiting -= 1;
            ports.outbox.ring();
        }
    }
    Ok(row)
}

fn tell(agent: &AgentId, schedule: &Schedule, firing: &Firing) {
    let Firing { due_at, trace_id, stands_for, execution_id, .. } = firing;
    match firing.status {
        FiringStatus::Fired => {
            tracing::info!(%agent, %trace_id, %execution_id, %due_at, stands_for, "The schedule fires.");
        }
        FiringStatus::Waiting => {
            tracing::info!(%agent, %trace_id, %due_at, "A firing waits: the agent is still at work on an earlier one.");
        }
        FiringStatus::Skipped => {
            tracing::warn!(%agent, %trace_id, %due_at, overlap = ?schedule.overlap, "A firing is skipped: the agent is still at work on an earlier one.");
        }
        FiringStatus::Missed => {
            tracing::warn!(%agent, %due_at, count = stands_for, missed = ?schedule.missed, "Firings were missed and are dropped.");
        }
    }
}

/// The agents' timetables; those of unchanged definitions are taken over.
fn read(agents: Vec<Arc<AgentSpec>>, before: Option<&BTreeMap<AgentId, Known>>) -> BTreeMap<AgentId, Known> {
    let mut known = BTreeMap::new();
    for spec in agents {
        let Some(schedule) = &spec.schedule else { continue };
        let old = before.and_then(|before| before.get(&spec.name)).filter(|old| old.spec.schedule == spec.schedule);
        let times = match old {
            Some(old) => Arc::clone(&old.times),
            None => match Timetable::new(&spec.name, schedule) {
                Ok(times) => Arc::new(times),
                Err(error) => {
                    tracing::error!(agent = %spec.name, %error, "The agent does not wake by itself.");
                    continue;
                }
            },
        };
        known.insert(spec.name.clone(), Known { spec, times });
    }
    known
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    at.duration_since(now).try_into().unwrap_or_default()
}
