//! Schedules: when agents wake by themselves, and what became of each firing. Every node with the role scheduler looks at the
//! same rows; what one of them writes, the others find changed, so that each firing happens once however many there are.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Result;
use crate::{
    BoxFuture,
    event::Event,
    id::{AgentId, EventId, ExecutionId, TraceId},
    status::{ExecutionStatus, FiringStatus},
};

/// How many firings of one agent may wait for their turn at a time. Those beyond are skipped.
pub const MOST_WAITING: u32 = 100;
/// How many firings of one agent may be at work, or wait for an agent that takes no work, at a time. Those beyond are skipped,
/// also where they may run side by side: an agent that is held for a week must not find a week's work at once.
pub const MOST_AT_WORK: u32 = 500;

/// An agent's schedule as the store has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleRow {
    /// The agent.
    pub agent: AgentId,
    /// A hash of what the schedule says about times: who knows another one leaves the row alone.
    pub digest: String,
    /// From when an interval counts.
    pub anchor: Timestamp,
    /// When it fires next. `None` while it rests: it is paused, its agent is gone, or it has yet to be computed.
    pub next_at: Option<Timestamp>,
    /// Since when an operator holds it.
    pub paused_since: Option<Timestamp>,
    /// Its firings that wait for their turn.
    pub waiting: u32,
    /// Its newest firing.
    pub last: Option<Firing>,
}

/// Every schedule, and the store's clock: schedules go by that one, so that no node's own matters.
#[derive(Debug, Clone)]
pub struct Scheduled {
    /// The store's clock when it answered.
    pub now: Timestamp,
    /// By agent.
    pub rows: Vec<ScheduleRow>,
}

/// What became of one firing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Firing {
    /// When it was due.
    pub due_at: Timestamp,
    /// When that was decided.
    pub decided_at: Timestamp,
    /// What became of it.
    pub status: FiringStatus,
    /// Whether an operator asked for it.
    pub triggered: bool,
    /// For how many firings it stands: more than one when some were missed.
    pub stands_for: u32,
    /// Its workflow.
    pub trace_id: TraceId,
    /// The execution that it led to, or leads to when its turn comes.
    pub execution_id: ExecutionId,
    /// How far that execution is, where the firing has fired and its history is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_status: Option<ExecutionStatus>,
}

/// A schedule's next time, to be written if the row is still as it was seen.
#[derive(Debug, Clone)]
pub struct SetSchedule {
    /// The agent.
    pub agent: AgentId,
    /// The row as it was seen, by its hash and next time; `None` if there was none.
    pub seen: Option<(String, Option<Timestamp>)>,
    /// What the schedule says now.
    pub digest: String,
    /// From when an interval counts.
    pub anchor: Timestamp,
    /// When it fires next.
    pub next_at: Option<Timestamp>,
}

/// A schedule's due time is over: what follows from it, decided by whoever comes first.
#[derive(Debug, Clone)]
pub struct Fire {
    /// The agent.
    pub agent: AgentId,
    /// The schedule that is known. A row of another one is left alone.
    pub digest: String,
    /// The time that was due: the row's present `next_at`.
    pub due_at: Timestamp,
    /// The time that is due after it.
    pub next_at: Option<Timestamp>,
    /// Firings that nobody was there for and that are not made up for, as one that stands for all of them: it is written
    /// down, and nothing is sent.
    pub missed: Option<NewFiring>,
    /// What fires, in order of time.
    pub firings: Vec<NewFiring>,
}

/// A firing before it is decided.
#[derive(Debug, Clone)]
pub struct NewFiring {
    /// When it is due.
    pub due_at: Timestamp,
    /// For how many firings it stands.
    pub stands_for: u32,
    /// What becomes of it while an execution that came of the same schedule has not ended, or a firing waits.
    pub if_busy: IfBusy,
    /// What is published for it, a command to its agent.
    pub event: Event,
}

/// What becomes of a firing whose agent is still at work on the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfBusy {
    /// It fires all the same, while fewer than [`MOST_AT_WORK`] of the agent are at work.
    Fire,
    /// It is dropped, and that is written down.
    Skip,
    /// It waits for its turn, at most [`MOST_WAITING`] of an agent.
    Wait,
}

impl IfBusy {
    /// The decision, the same for every store. `waiting` is how many wait already; `at_work` how many earlier firings have fired
    /// and are not over.
    pub fn decide(self, at_work: u32, waiting: u32) -> FiringStatus {
        match self {
            _ if at_work == 0 && waiting == 0 => FiringStatus::Fired,
            Self::Fire if at_work < MOST_AT_WORK => FiringStatus::Fired,
            Self::Wait if waiting < MOST_WAITING => FiringStatus::Waiting,
            Self::Fire | Self::Wait | Self::Skip => FiringStatus::Skipped,
        }
    }
}

/// A firing that waits for its turn.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitingFiring {
    /// When it was due.
    pub due_at: Timestamp,
    /// For how many it stands.
    pub stands_for: u32,
    /// Its event's id.
    pub event_id: EventId,
    /// Its workflow.
    pub trace_id: TraceId,
}

/// The part of the store that knows schedules. Times are the store's own clock, as everywhere.
pub trait Schedules: Send + Sync + 'static {
    /// Every schedule with its newest firing.
    fn schedules(&self) -> BoxFuture<'_, Result<Scheduled>>;

    /// Sets a schedule's next time. Says whether it did: not if the row is another one by now. A pause is kept, and while it
    /// holds, the next time is not set. Without a next time the schedule is over, and what waits for its turn is skipped.
    fn set_schedule(&self, set: SetSchedule) -> BoxFuture<'_, Result<bool>>;

    /// Decides a due time: sets the next one, writes its firings down, and puts the events of those that fire into the
    /// outbox. `None` if that is not to be done: it was decided by another node, the schedule is paused or another one, or the
    /// time has not come by the store's clock. A firing of the same agent and time as an earlier one is passed over.
    fn fire(&self, fire: Fire) -> BoxFuture<'_, Result<Option<Vec<Firing>>>>;

    /// Fires now, whatever the schedule says and whether or not it is paused: an operator asks for it. Fails with
    /// [`Error::Conflict`](super::Error::Conflict) if the agent fired at that very time already.
    fn trigger_schedule(&self, agent: &AgentId, firing: NewFiring) -> BoxFuture<'_, Result<Firing>>;

    /// The firing that has waited longest, if its turn has come: nothing of the same schedule is at work.
    fn next_waiting(&self, agent: &AgentId) -> BoxFuture<'_, Result<Option<WaitingFiring>>>;

    /// Lets a waiting firing fire, if its turn has come. Says whether it did.
    fn release_firing(&self, agent: &AgentId, due_at: Timestamp, event: Event) -> BoxFuture<'_, Result<bool>>;

    /// Holds a schedule on every node and over restarts, or lets it go. Idempotent. What it lets go rests until its next time
    /// is set: firings of the time between are not missed, nobody wanted them.
    fn pause_schedule(&self, agent: &AgentId, paused: bool) -> BoxFuture<'_, Result<()>>;

    /// An agent's firings, newest first.
    fn firings(&self, agent: &AgentId, limit: u32) -> BoxFuture<'_, Result<Vec<Firing>>>;
}
