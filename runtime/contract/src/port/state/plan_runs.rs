//! Runs of plans, as people see them.

use std::time::Duration;

use super::{Outgoing, Result};
use crate::{
    BoxFuture,
    execution::Fence,
    id::PlanRunId,
    page::{Page, PageRequest},
    plan::{NewPlanRun, PlanRun, PlanRunFilter},
};

/// The runs of the store. The truth of a run is its coordinator's journal; this is what people see of it, written in the
/// transactions in which the coordinator waits ([`Wait::plan_run`](super::Wait::plan_run)) and ends
/// ([`Finish::plan_run`](super::Finish::plan_run)). A coordinator that ends without success, or is cancelled, takes its run along: it is then
/// `failed` or `cancelled`, whether or not the coordinator could write that itself. Runs are deleted with their execution.
pub trait PlanRuns: Send + Sync + 'static {
    /// Writes how far a run is while its coordinator is at work.
    fn save_plan_run(&self, fence: Fence, run: NewPlanRun) -> BoxFuture<'_, Result<()>>;

    /// One run.
    fn plan_run(&self, id: PlanRunId) -> BoxFuture<'_, Result<Option<PlanRun>>>;

    /// Runs, newest first.
    fn plan_runs(&self, filter: PlanRunFilter, page: PageRequest) -> BoxFuture<'_, Result<Page<PlanRun>>>;

    /// Runs that have not ended and are past their deadline by more than `grace`, and that nobody was told of; at most `limit`.
    fn stuck_plan_runs(&self, grace: Duration, limit: u32) -> BoxFuture<'_, Result<Vec<PlanRun>>>;

    /// Tells of a run that is stuck, once, however many nodes find it. Returns whether it is told now.
    fn tell_stuck(&self, id: PlanRunId, outbox: Vec<Outgoing>) -> BoxFuture<'_, Result<bool>>;
}
