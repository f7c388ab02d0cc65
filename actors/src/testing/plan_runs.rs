//! No test of this crate asks for plan runs.

use std::time::Duration;

use greenroom_contract::{
    BoxFuture, PlanRunId,
    execution::Fence,
    page::{Page, PageRequest},
    plan::{NewPlanRun, PlanRun, PlanRunFilter},
    port::state::{Outgoing, PlanRuns, Result},
};

use super::store::{Store, unasked};

impl PlanRuns for Store {
    fn save_plan_run(&self, _: Fence, _: NewPlanRun) -> BoxFuture<'_, Result<()>> {
        unasked()
    }

    fn plan_run(&self, _: PlanRunId) -> BoxFuture<'_, Result<Option<PlanRun>>> {
        unasked()
    }

    fn plan_runs(&self, _: PlanRunFilter, _: PageRequest) -> BoxFuture<'_, Result<Page<PlanRun>>> {
        unasked()
    }

    fn stuck_plan_runs(&self, _: Duration, _: u32) -> BoxFuture<'_, Result<Vec<PlanRun>>> {
        unasked()
    }

    fn tell_stuck(&self, _: PlanRunId, _: Vec<Outgoing>) -> BoxFuture<'_, Result<bool>> {
        unasked()
    }
}
