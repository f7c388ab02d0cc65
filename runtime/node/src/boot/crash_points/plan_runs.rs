//! Before and after what people see of a plan run is written.

use std::time::Duration;

use greenroom_contract::{
    BoxFuture, PlanRunId,
    execution::Fence,
    page::{Page, PageRequest},
    plan::{NewPlanRun, PlanRun, PlanRunFilter},
    port::state::{Outgoing, PlanRuns, Result},
};

use super::{state::Dangerous, trigger::Deed};

impl PlanRuns for Dangerous {
    fn save_plan_run(&self, fence: Fence, run: NewPlanRun) -> BoxFuture<'_, Result<()>> {
        let what = format!("plan_run {}", run.status);
        Box::pin(self.between(Deed::Commit, what, self.inner.save_plan_run(fence, run)))
    }

    fn plan_run(&self, id: PlanRunId) -> BoxFuture<'_, Result<Option<PlanRun>>> {
        self.inner.plan_run(id)
    }

    fn plan_runs(&self, filter: PlanRunFilter, page: PageRequest) -> BoxFuture<'_, Result<Page<PlanRun>>> {
        self.inner.plan_runs(filter, page)
    }

    fn stuck_plan_runs(&self, grace: Duration, limit: u32) -> BoxFuture<'_, Result<Vec<PlanRun>>> {
        self.inner.stuck_plan_runs(grace, limit)
    }

    fn tell_stuck(&self, id: PlanRunId, outbox: Vec<Outgoing>) -> BoxFuture<'_, Result<bool>> {
        self.inner.tell_stuck(id, outbox)
    }
}
