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

/// What a scheduler keeps in mind between two looks. Whatever it decides, it decides by the rows.
pub(super) struct Desk {
    ports: Arc<Ports>,
    /// The agents with schedules at the last look. `None` before the first one.
    known: Option<BTreeMap<AgentId, Known>>,
}

#[derive(Clone)]
struct Known {
    spec: Arc<AgentSpec>,
    times: Arc<Timetable>,
}

impl Desk {
    pub(super) fn new(ports: Arc<Ports>) -> Self {
        Self { ports, known: None }
    }

    /// Looks at every schedule, and says how long nothing is due.
    pub(super) async fn look(&mut self, agents: Vec<Arc<AgentSpec>>) -> Result<Duration, Error> {
        let before = self.known.take();
        let known = read(agents, before.as_ref());
        // What was known is known still, if the store does not answer.
        let scheduled = match self.ports.state.schedules().await {
            Ok(scheduled) => scheduled,
            Err(error) => {
                self.known = before;
                return Err(error);
            }
        };
        // The store's clock goes on as ours does, whatever ours says.
        let (now, begun) = (scheduled.now, Instant::now());
        let mut rows: BTreeMap<AgentId, ScheduleRow> =
            scheduled.rows.into_iter().map(|row| (row.agent.clone(), row)).collect();
        for agent in before.iter().flatten().map(|(agent, _)| agent).filter(|agent| !known.contains_key(*agent)) {
            if let Some(row) = rows.remove(agent) {
                self.rest(row).await?;
            }
        }
        let ports = &self.ports;
        let mut looks: Vec<BoxFuture<'_, Result<Seen, Error>>> = Vec::with_capacity(known.len());
        for (agent, one) in &known {
            let changed = match &before {
                None => true,
                Some(before) => before.get(agent).is_none_or(|old| old.times.digest() != one.times.digest()),
            };
            looks.push(Box::pin(look_at(ports, one, rows.remove(agent), changed, now)));
        }
        let seen: Vec<Result<Seen, Error>> = stream::iter(looks).buffer_unordered(AT_ONCE).collect().await;
        let mut wait = READ_ANYWAY;
        let mut failed = None;
        for one in seen {
            match one {
                Ok(Seen { next_at, waiting }) => {
                    let until = next_at.map_or(READ_ANYWAY, |at| until(at, now));
                    wait = wait.min(until).min(if waiting { TURNS } else { READ_ANYWAY });
                }
                Err(error) => failed = Some(error),
            }
        }
        // What could not be written is still news at the next look.
        self.known = if failed.is_some() { before } else { Some(known) };
        // A little late rather than a little early: early would find nothing due.
        failed.map_or(Ok(wait.saturating_sub(begun.elapsed()) + Duration::from_millis(1)), Err)
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

/// What was found of one schedule.
struct Seen {
    next_at: Option<Timestamp>,
    waiting: bool,
}

async fn look_at(
    ports: &Ports,
    one: &Known,
    row: Option<ScheduleRow>,
    changed: bool,
    now: Timestamp,
) -> Result<Seen, Error> {
    let digest = one.times.digest();
    let Some(row) = row else {
        return set(ports, one, None, now, now).await;
    };
    if row.paused_since.is_some() {
        // What waits for its turn is held, too.
        return Ok(Seen { next_at: None, waiting: false });
    }
    let waiting = row.waiting > 0 && release(ports, one).await?;
    let seen = match row.next_at {
        _ if row.digest != digest => {
            let deserted =
                row.next_at.is_none_or(|at| now.duration_since(at) > DESERTED.try_into().unwrap_or_default());
            if !changed && !deserted {
                // Another node knows another version of the file, and sees to it.
                return Ok(Seen { next_at: None, waiting });
            }
            set(ports, one, Some(&row), now, now).await?
        }
        None => set(ports, one, Some(&row), row.anchor, now).await?,
        Some(due_at) if due_at > now => Seen { next_at: Some(due_at), waiting },
        Some(due_at) => fire(ports, one, &row, due_at, now).await?,
    };
    Ok(Seen { waiting: waiting || seen.waiting, ..seen })
}

async fn set(
    ports: &Ports,
    one: &Known,
    row: Option<&ScheduleRow>,
    anchor: Timestamp,
    now: Timestamp,
) -> Result<Seen, Error> {
    let next_at = one.times.next(anchor, now);
    let (agent, digest) = (one.spec.name.clone(), one.times.digest().to_owned());
    let unchanged = row.is_some_and(|row| row.digest == digest && row.next_at == next_at);
    if !unchanged {
        let seen = row.map(|row| (row.digest.clone(), row.next_at));
        tracing::info!(%agent, next_at = next_at.map(|at| at.to_string()), "The schedule is set.");
        let set = SetSchedule { agent, seen, digest, anchor, next_at };
        ports.state.set_schedule(set).await?;
    }
    Ok(Seen { next_at, waiting: false })
}

async fn fire(ports: &Ports, one: &Known, row: &ScheduleRow, due_at: Timestamp, now: Timestamp) -> Result<Seen, Error> {
    let Some(schedule) = &one.spec.schedule else { return Ok(Seen { next_at: None, waiting: false }) };
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
    let decided = ports.state.fire(fire).await?.unwrap_or_default();
    decided.iter().for_each(|firing| tell(&row.agent, schedule, firing));
    if !decided.is_empty() {
        ports.outbox.ring();
    }
    Ok(Seen { next_at, waiting: decided.iter().any(|firing| firing.status == FiringStatus::Waiting) })
}

/// Lets the next one that waits fire, if its turn has come. Says whether to look again soon.
async fn release(ports: &Ports, one: &Known) -> Result<bool, Error> {
    let agent = &one.spec.name;
    if let Some(next) = ports.state.next_waiting(agent).await? {
        let event = event_of(&one.spec, next.due_at, next.stands_for, next.trace_id);
        if ports.state.release_firing(agent, next.due_at, event).await? {
            tracing::info!(%agent, trace_id = %next.trace_id, due_at = %next.due_at, "A firing that waited has its turn.");
            ports.outbox.ring();
        }
    }
    Ok(true)
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
