//! Runs of plans, as both stores keep them.

use std::time::Duration;

use greenroom_contract::{
    AgentId, ExecutionId, PlanRunId, TraceId,
    clock::{from_millis, to_millis},
    execution::Failure,
    plan::{NewPlanRun, PlanProgress, PlanRun},
    port::state::Result,
    status::{ExecutionStatus, PlanRunStatus},
};

use crate::{
    codec::{self, Damaged, Stored},
    page::List,
    refusal::corrupt,
};

/// The list of runs.
pub(crate) const LIST: List = List('p');

/// The columns of a run, in the order in which they are read. `p` is its row, `e` its execution's.
pub(crate) const COLUMNS: &str = "p.seq, e.id, p.agent, e.trace_id, p.status, p.version, p.told, p.created_at, \
     p.updated_at, p.finished_at, p.deadline_at, p.body";

/// A run, ready to be written.
pub(crate) struct NewRun {
    pub(crate) status: PlanRunStatus,
    pub(crate) deadline_at: Option<i64>,
    pub(crate) told: u32,
    pub(crate) body: Stored,
}

impl NewRun {
    pub(crate) fn prepare(run: NewPlanRun) -> Result<Self> {
        let NewPlanRun { status, deadline_at, told, progress } = run;
        let body = codec::encode_json(&progress).map_err(corrupt("a plan run"))?;
        Ok(Self { status, deadline_at: deadline_at.map(to_millis), told, body })
    }

    /// When it ended, if it is written now.
    pub(crate) fn finished_at(&self, now: i64) -> Option<i64> {
        self.status.is_final().then_some(now)
    }
}

/// How a run ends whose execution ends so, without success.
pub(crate) fn of_execution(status: ExecutionStatus) -> PlanRunStatus {
    if status == ExecutionStatus::Cancelled { PlanRunStatus::Cancelled } else { PlanRunStatus::Failed }
}

/// A run that is past its deadline by so much is stuck.
pub(crate) fn grace_ms(grace: Duration) -> i64 {
    i64::try_from(grace.as_millis()).unwrap_or(i64::MAX)
}

/// A run as its row has it.
pub(crate) struct RawRun {
    pub(crate) row: i64,
    pub(crate) execution_id: ExecutionId,
    pub(crate) agent: AgentId,
    pub(crate) trace_id: TraceId,
    pub(crate) status: PlanRunStatus,
    pub(crate) version: u64,
    pub(crate) told: u32,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) finished_at: Option<i64>,
    pub(crate) deadline_at: Option<i64>,
    pub(crate) body: Stored,
}

impl RawRun {
    /// Opens the payload. One that is damaged says so in its place.
    pub(crate) fn open(self) -> (i64, PlanRun) {
        let unreadable = |error: Damaged| {
            let error = Some(Failure::new("unreadable", format!("the run's row cannot be read: {error}")));
            PlanProgress { error, ..PlanProgress::default() }
        };
        let opened = PlanRun {
            id: PlanRunId::of(self.execution_id),
            execution_id: self.execution_id,
            agent: self.agent,
            trace_id: self.trace_id,
            status: self.status,
            version: self.version,
            told: self.told,
            created_at: from_millis(self.created_at),
            updated_at: from_millis(self.updated_at),
            finished_at: self.finished_at.map(from_millis),
            deadline_at: self.deadline_at.map(from_millis),
            progress: codec::decode_json(self.body).unwrap_or_else(unreadable),
        };
        (self.row, opened)
    }
}
