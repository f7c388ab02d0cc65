//! Schedules, as the scheduler and the doors see them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use greenroom_config::{AgentSpec, Role};
use greenroom_contract::{
    AgentId, Event, EventId, ExecutionId, TraceId,
    port::{
        operator::{ComponentHealth, Error, HealthStatus, Invoked, ScheduleShown, ScheduleView},
        state::{self, IfBusy, NewFiring, ScheduleRow, Submitted},
    },
    status::ExecutionStatus,
};
use jiff::Timestamp;
use tokio::time::timeout;

use super::registry::Orchestrator;
use crate::{
    cluster::NodeVerb,
    scheduler::{Timetable, event_of},
};

/// How many of the next firings are shown.
const SHOWN: usize = 10;
/// How many of the last ones.
const LAST: u32 = 20;
/// How long the store may take.
const STORE: Duration = Duration::from_secs(5);

impl Orchestrator {
    /// Every agent that wakes by itself, those in Rust included.
    pub(crate) fn scheduled_agents(&self) -> Vec<Arc<AgentSpec>> {
        let table = self.table();
        let native = table.actual.iter().filter(|(name, entry)| table.native.contains_key(*name) && !entry.leaving);
        let native = native.map(|(_, entry)| Arc::clone(&entry.handle.definition().spec));
        let wanted = table.desired.values().map(|definition| Arc::clone(&definition.spec));
        wanted.chain(native).filter(|spec| spec.schedule.is_some()).collect()
    }

    /// Resolves when the scheduler should look.
    pub(crate) async fn agenda_changed(&self) {
        self.inner.agenda.notified().await;
    }

    /// Has the scheduler of this node look now.
    pub(crate) fn change_agenda(&self) {
        self.inner.agenda.notify_one();
    }

    /// Gives an agent the work that a schedule wants done.
    pub(crate) async fn pass_on(&self, command: Event, agent: AgentId) -> Result<Submitted, state::Error> {
        self.submit(command, Some(agent)).await
    }

    pub(super) async fn all_schedules(&self) -> Result<Vec<ScheduleView>, Error> {
        let scheduled = in_time(self.inner.ports.state.schedules()).await?;
        let rows: HashMap<&AgentId, &ScheduleRow> = scheduled.rows.iter().map(|row| (&row.agent, row)).collect();
        let mut agents = self.scheduled_agents();
        agents.sort_by(|a, b| a.name.cmp(&b.name));
        let view = |spec: Arc<AgentSpec>| view(&spec, rows.get(&spec.name).copied(), scheduled.now);
        Ok(agents.into_iter().filter_map(view).collect())
    }

    pub(super) async fn one_schedule(&self, agent: AgentId) -> Result<ScheduleShown, Error> {
        let spec = self.scheduled(&agent)?;
        let state = &self.inner.ports.state;
        let scheduled = in_time(state.schedules()).await?;
        let row = scheduled.rows.iter().find(|row| row.agent == agent);
        let view = view(&spec, row, scheduled.now).ok_or_else(|| no_schedule(&agent))?;
        Ok(ScheduleShown { schedule: view, firings: in_time(state.firings(&agent, LAST)).await? })
    }

    pub(super) async fn trigger_now(
        &self,
        agent: AgentId,
        trace_id: TraceId,
        key: Option<String>,
    ) -> Result<Invoked, Error> {
        self.check_open()?;
        let spec = self.scheduled(&agent)?;
        let ports = &self.inner.ports;
        let due_at = ports.clock.now();
        let mut event = event_of(&spec, due_at, 1, trace_id);
        if let Some(key) = key {
            event.event_id = EventId::derived(&["trigger", agent.as_str(), &key]);
            let id = ExecutionId::of(&agent, event.event_id);
            if let Some(first) = in_time(ports.state.execution(id)).await? {
                return Ok(Invoked { execution_id: id, trace_id: first.trace_id, status: first.status });
            }
            // Of two at once both are written down as firings, and lead to the same execution.
        }
        let firing = NewFiring { due_at, stands_for: 1, if_busy: IfBusy::Fire, event };
        let fired = in_time(ports.state.trigger_schedule(&agent, firing)).await?;
        ports.outbox.ring();
        let execution_id = fired.execution_id;
        tracing::info!(%agent, %execution_id, "The schedule is fired by an operator.");
        Ok(Invoked { execution_id, trace_id: fired.trace_id, status: ExecutionStatus::Queued })
    }

    /// The row decides, on every node. Those who sleep until the next time are told, so that it is set soon.
    pub(super) async fn hold_schedule(&self, agent: AgentId, paused: bool) -> Result<(), Error> {
        self.scheduled(&agent)?;
        in_time(self.inner.ports.state.pause_schedule(&agent, paused)).await?;
        self.change_agenda();
        if let Some(cluster) = self.cluster() {
            cluster.tell(NodeVerb::Agenda).await;
        }
        Ok(())
    }

    /// Whether somebody keeps the times and somebody passes on what is due, where there is anything to keep; told only if not.
    pub(super) fn schedules_health(&self) -> Option<ComponentHealth> {
        if self.scheduled_agents().is_empty() {
            return None;
        }
        let others = self.cluster().map(|cluster| cluster.nodes()).unwrap_or_default();
        let heard = |role: Role| {
            let there = others.iter().any(|node| node.reachable && node.roles.iter().any(|word| word == role.as_str()));
            there || self.inner.roles.has(role)
        };
        let missing = [Role::Scheduler, Role::Orchestrator].into_iter().find(|role| !heard(*role))?;
        let reason =
            Some(format!("agents have schedules, and no node with the role {missing} is heard: they do not wake"));
        Some(ComponentHealth { component: "schedules".to_owned(), status: HealthStatus::Degraded, reason })
    }

    fn scheduled(&self, agent: &AgentId) -> Result<Arc<AgentSpec>, Error> {
        let found = self.scheduled_agents().into_iter().find(|spec| spec.name == *agent);
        let known = || self.entry(agent).is_some() || self.table().desired.contains_key(agent);
        found.ok_or_else(|| match known() {
            true => no_schedule(agent),
            false => Error::NotFound { what: format!("agent {agent}") },
        })
    }
}

fn no_schedule(agent: &AgentId) -> Error {
    Error::Conflict { why: format!("agent {agent} has no schedule") }
}

async fn in_time<T>(asked: impl Future<Output = state::Result<T>>) -> Result<T, Error> {
    let silent = |_| Err(state::Error::Unavailable { reason: format!("no answer within {STORE:?}") });
    Ok(timeout(STORE, asked).await.unwrap_or_else(silent)?)
}

/// `None` for a schedule that cannot be read: the log says why.
fn view(spec: &AgentSpec, row: Option<&ScheduleRow>, now: Timestamp) -> Option<ScheduleView> {
    let schedule = spec.schedule.as_ref()?;
    let times = Timetable::new(&spec.name, schedule).ok()?;
    let next = match row {
        Some(row) if row.paused_since.is_some() => Vec::new(),
        Some(ScheduleRow { digest, anchor, next_at: Some(first), .. }) if digest == times.digest() => {
            let mut next = vec![*first];
            next.extend(times.upcoming(*anchor, *first, SHOWN - 1));
            next
        }
        // It was changed, or no scheduler has seen it yet.
        _ => times.upcoming(now, now, SHOWN),
    };
    Some(ScheduleView {
        agent: spec.name.clone(),
        schedule: schedule.summary(),
        timezone: schedule.timezone.clone(),
        missed: word(&schedule.missed),
        overlap: word(&schedule.overlap),
        paused: row.is_some_and(|row| row.paused_since.is_some()),
        paused_since: row.and_then(|row| row.paused_since),
        next,
        waiting: row.map_or(0, |row| row.waiting),
        last: row.and_then(|row| row.last.clone()),
    })
}

/// A policy's word, as it is written in the file.
fn word(policy: &impl serde::Serialize) -> String {
    serde_json::to_value(policy).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}
