//! Runs of plans are the durable store's alone.

use std::time::Duration;

use greenroom_contract::{
    BoxFuture, PlanRunId,
    execution::Fence,
    page::{Page, PageRequest},
    plan::{NewPlanRun, PlanRun, PlanRunFilter},
    port::state::{Outgoing, PlanRuns, Result},
};

use super::tiered::Tiered;

impl PlanRuns for Tiered {
    fn save_plan_run(&self, fence: Fence, run: NewPlanRun) -> BoxFuture<'_, Result<()>> {
        self.durable.save_plan_run(fence, run)
    }

    fn plan_run(&self, id: PlanRunId) -> BoxFuture<'_, Result<Option<PlanRun>>> {
        self.durable.plan_run(id)
    }

    fn plan_runs(&self, filter: PlanRunFilter, page: PageRequest) -> BoxFuture<'_, Result<Page<PlanRun>>> {
        self.durable.plan_runs(filter, page)
    }

    fn stuck_plan_runs(&self, grace: Duration, limit: u32) -> BoxFuture<'_, Result<Vec<PlanRun>>> {
        self.durable.stuck_plan_runs(grace, limit)
    }

    fn tell_stuck(&self, id: PlanRunId, outbox: Vec<Outgoing>) -> BoxFuture<'_, Result<bool>> {
        self.durable.tell_stuck(id, outbox)
    }
}
