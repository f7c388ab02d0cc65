//! Schedules.

use greenroom_contract::{
    AgentId, BoxFuture, Event, ExecutionId,
    clock::{from_millis, to_millis},
    port::state::{
        Fire, Firing, NewFiring, Outgoing, Result, ScheduleRow, Scheduled, Schedules, SetSchedule, WaitingFiring,
    },
    status::{ExecutionStatus, FiringStatus},
};
use jiff::Timestamp;

use super::{
    store::MemoryState,
    tables::{Tables, conflict},
};

/// A schedule. Times are milliseconds since the Unix epoch.
pub(super) struct Schedule {
    digest: String,
    anchor: i64,
    next_at: Option<i64>,
    paused_since: Option<i64>,
}

/// A firing; its key has its agent and its time.
pub(super) struct Fired {
    pub(super) decided_at: i64,
    pub(super) status: FiringStatus,
    triggered: bool,
    stands_for: u32,
    event: Event,
}

impl Tables {
    fn schedule_rows(&self) -> Vec<ScheduleRow> {
        let row = |(agent, schedule): (&AgentId, &Schedule)| ScheduleRow {
            agent: agent.clone(),
            digest: schedule.digest.clone(),
            anchor: from_millis(schedule.anchor),
            next_at: schedule.next_at.map(from_millis),
            paused_since: schedule.paused_since.map(from_millis),
            waiting: self.waiting(agent).count() as u32,
            last: self.firings_of(agent).next_back().map(|((_, due_at), fired)| self.firing(agent, *due_at, fired)),
        };
        self.schedules.iter().map(row).collect()
    }

    fn firings_of(&self, agent: &AgentId) -> impl DoubleEndedIterator<Item = (&(AgentId, i64), &Fired)> {
        self.firings.range((agent.clone(), i64::MIN)..=(agent.clone(), i64::MAX))
    }

    fn waiting(&self, agent: &AgentId) -> impl Iterator<Item = (i64, &Fired)> {
        let waits = |(_, fired): &(&(AgentId, i64), &Fired)| fired.status == FiringStatus::Waiting;
        self.firings_of(agent).filter(waits).map(|((_, due_at), fired)| (*due_at, fired))
    }

    /// Whether something that came of the schedule is not over.
    fn is_busy(&self, agent: &AgentId) -> bool {
        self.at_work(agent) > 0
    }

    /// How many firings have fired and are not over.
    fn at_work(&self, agent: &AgentId) -> u32 {
        let fired = self.firings_of(agent).filter(|(_, fired)| fired.status == FiringStatus::Fired);
        let goes_on = fired.filter(|(_, fired)| {
            let id = ExecutionId::of(agent, fired.event.event_id);
            self.out_by_event.contains_key(&fired.event.event_id)
                || self.row(id).is_some_and(|row| row.finished_at.is_none())
        });
        goes_on.count() as u32
    }

    fn firing(&self, agent: &AgentId, due_at: i64, fired: &Fired) -> Firing {
        let execution_id = ExecutionId::of(agent, fired.event.event_id);
        let waits = self.out_by_event.contains_key(&fired.event.event_id).then_some(ExecutionStatus::Queued);
        let status = self.row(execution_id).map(|row| row.status).or(waits);
        Firing {
            due_at: from_millis(due_at),
            decided_at: from_millis(fired.decided_at),
            status: fired.status,
            triggered: fired.triggered,
            stands_for: fired.stands_for,
            trace_id: fired.event.trace_id,
            execution_id,
            execution_status: status.filter(|_| fired.status == FiringStatus::Fired),
        }
    }

    fn set_schedule(&mut self, set: SetSchedule) -> bool {
        let SetSchedule { agent, seen, digest, anchor, next_at } = set;
        let before = self.schedules.get(&agent);
        let same = match (&seen, before) {
            (None, None) => true,
            (Some((digest, at)), Some(before)) => *digest == before.digest && at.map(to_millis) == before.next_at,
            _ => false,
        };
        if same && next_at.is_none() {
            let waits = |fired: &&mut Fired| fired.status == FiringStatus::Waiting;
            let all = self.firings.range_mut((agent.clone(), i64::MIN)..=(agent.clone(), i64::MAX));
            all.map(|(_, fired)| fired).filter(waits).for_each(|fired| fired.status = FiringStatus::Skipped);
        }
        if same {
            let paused_since = before.and_then(|before| before.paused_since);
            let next_at = next_at.filter(|_| paused_since.is_none()).map(to_millis);
            self.schedules.insert(agent, Schedule { digest, anchor: to_millis(anchor), next_at, paused_since });
        }
        same
    }

    fn fire(&mut self, fire: Fire, now: i64) -> Option<Vec<Firing>> {
        let Fire { agent, digest, due_at, next_at, missed, firings } = fire;
        let due_at = to_millis(due_at);
        let row = self.schedules.get_mut(&agent).filter(|row| {
            row.digest == digest && row.next_at == Some(due_at) && due_at <= now && row.paused_since.is_none()
        })?;
        row.next_at = next_at.map(to_millis);
        let (mut at_work, mut waiting) = (self.at_work(&agent), self.waiting(&agent).count() as u32);
        let missed = missed.and_then(|missed| self.write_firing(&agent, missed, FiringStatus::Missed, false, now));
        let mut done: Vec<Firing> = missed.into_iter().collect();
        for one in firings {
            let status = one.if_busy.decide(at_work, waiting);
            if let Some(written) = self.write_firing(&agent, one, status, false, now) {
                at_work += u32::from(status == FiringStatus::Fired);
                waiting += u32::from(status == FiringStatus::Waiting);
                done.push(written);
            }
        }
        Some(done)
    }

    fn write_firing(
        &mut self,
        agent: &AgentId,
        firing: NewFiring,
        status: FiringStatus,
        triggered: bool,
        now: i64,
    ) -> Option<Firing> {
        let NewFiring { due_at, stands_for, event, .. } = firing;
        let key = (agent.clone(), to_millis(due_at));
        if self.firings.contains_key(&key) {
            return None;
        }
        if status == FiringStatus::Fired {
            self.send(Outgoing::Event { event: event.clone(), mandatory: true }, Some(agent.clone()), now);
        }
        let due_at = key.1;
        self.firings.insert(key.clone(), Fired { decided_at: now, status, triggered, stands_for, event });
        self.firings.get(&key).map(|fired| self.firing(agent, due_at, fired))
    }

    fn release_firing(&mut self, agent: &AgentId, due_at: i64, event: Event, now: i64) -> bool {
        let held = self.schedules.get(agent).is_some_and(|row| row.paused_since.is_some());
        let busy = held || self.is_busy(agent);
        let waits = |fired: &&mut Fired| !busy && fired.status == FiringStatus::Waiting;
        let Some(fired) = self.firings.get_mut(&(agent.clone(), due_at)).filter(waits) else { return false };
        fired.status = FiringStatus::Fired;
        self.send(Outgoing::Event { event, mandatory: true }, Some(agent.clone()), now);
        true
    }

    fn pause_schedule(&mut self, agent: AgentId, paused: bool, now: i64) {
        if paused {
            let new = Schedule { digest: String::new(), anchor: now, next_at: None, paused_since: None };
            let row = self.schedules.entry(agent).or_insert(new);
            row.next_at = None;
            row.paused_since.get_or_insert(now);
        } else if let Some(row) = self.schedules.get_mut(&agent).filter(|row| row.paused_since.is_some()) {
            row.next_at = None;
            row.paused_since = None;
        }
    }

    /// Deletes old firings, but the newest of each agent. Returns how many.
    pub(super) fn sweep_firings(&mut self, before: i64) -> u64 {
        let spare = |((agent, due_at), fired): &(&(AgentId, i64), &Fired)| {
            let id = ExecutionId::of(agent, fired.event.event_id);
            let open = self.out_by_event.contains_key(&fired.event.event_id)
                || self.row(id).is_some_and(|row| row.finished_at.is_none());
            let newest = self.firings_of(agent).next_back().is_some_and(|((_, last), _)| last == due_at);
            fired.decided_at < before && fired.status != FiringStatus::Waiting && !open && !newest
        };
        let spare: Vec<(AgentId, i64)> = self.firings.iter().filter(spare).map(|(key, _)| key.clone()).collect();
        spare.iter().for_each(|key| drop(self.firings.remove(key)));
        spare.len() as u64
    }
}

impl Schedules for MemoryState {
    fn schedules(&self) -> BoxFuture<'_, Result<Scheduled>> {
        self.call(|tables, now| Ok(Scheduled { now: from_millis(now), rows: tables.schedule_rows() }))
    }

    fn set_schedule(&self, set: SetSchedule) -> BoxFuture<'_, Result<bool>> {
        self.call(|tables, _| Ok(tables.set_schedule(set)))
    }

    fn fire(&self, fire: Fire) -> BoxFuture<'_, Result<Option<Vec<Firing>>>> {
        self.call(|tables, now| Ok(tables.fire(fire, now)))
    }

    fn trigger_schedule(&self, agent: &AgentId, firing: NewFiring) -> BoxFuture<'_, Result<Firing>> {
        let agent = agent.clone();
        self.call(move |tables, now| {
            let written = tables.write_firing(&agent, firing, FiringStatus::Fired, true, now);
            written.ok_or_else(|| conflict(format!("{agent} has fired at this very time already")))
        })
    }

    fn next_waiting(&self, agent: &AgentId) -> BoxFuture<'_, Result<Option<WaitingFiring>>> {
        let agent = agent.clone();
        self.call(move |tables, _| {
            let first = tables.waiting(&agent).next().filter(|_| !tables.is_busy(&agent));
            Ok(first.map(|(due_at, fired)| WaitingFiring {
                due_at: from_millis(due_at),
                stands_for: fired.stands_for,
                event_id: fired.event.event_id,
                trace_id: fired.event.trace_id,
            }))
        })
    }

    fn release_firing(&self, agent: &AgentId, due_at: Timestamp, event: Event) -> BoxFuture<'_, Result<bool>> {
        let agent = agent.clone();
        self.call(move |tables, now| Ok(tables.release_firing(&agent, to_millis(due_at), event, now)))
    }

    fn pause_schedule(&self, agent: &AgentId, paused: bool) -> BoxFuture<'_, Result<()>> {
        let agent = agent.clone();
        self.call(move |tables, now| {
            tables.pause_schedule(agent, paused, now);
            Ok(())
        })
    }

    fn firings(&self, agent: &AgentId, limit: u32) -> BoxFuture<'_, Result<Vec<Firing>>> {
        let agent = agent.clone();
        self.call(move |tables, _| {
            let newest = tables.firings_of(&agent).rev().take(limit as usize);
            Ok(newest.map(|((_, due_at), fired)| tables.firing(&agent, *due_at, fired)).collect())
        })
    }
}
