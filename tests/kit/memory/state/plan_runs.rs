//! Runs of plans.

use std::time::Duration;

use greenroom_contract::{
    BoxFuture, PlanRunId,
    clock::{from_millis, to_millis},
    execution::Fence,
    page::{Page, PageRequest},
    plan::{NewPlanRun, PlanRun, PlanRunFilter},
    port::state::{Outgoing, PlanRuns, Result},
    status::{ExecutionStatus, PlanRunStatus},
};

use super::{shown::List, store::MemoryState, tables::Tables};

/// The list of runs.
const LIST: List = List('p');

impl PlanRuns for MemoryState {
    fn save_plan_run(&self, fence: Fence, run: NewPlanRun) -> BoxFuture<'_, Result<()>> {
        self.call(move |tables, now| {
            let number = tables.hold(fence)?;
            tables.write_plan_run(number, run, now);
            Ok(())
        })
    }

    fn plan_run(&self, id: PlanRunId) -> BoxFuture<'_, Result<Option<PlanRun>>> {
        self.call(move |tables, _| Ok(tables.plan_runs.iter().map(|(run, _)| run).find(|run| run.id == id).cloned()))
    }

    fn plan_runs(&self, filter: PlanRunFilter, page: PageRequest) -> BoxFuture<'_, Result<Page<PlanRun>>> {
        self.call(move |tables, _| {
            let (below, limit) = (LIST.below(&page)?, page.limit as usize);
            let wanted = |run: &PlanRun| {
                filter.agent.as_ref().is_none_or(|agent| *agent == run.agent)
                    && filter.status.is_none_or(|status| status == run.status)
            };
            let rows = tables.plan_runs.iter().enumerate().rev().map(|(row, (run, _))| (row as i64, run));
            let rows = rows.filter(|(row, run)| *row < below && wanted(run));
            Ok(LIST.page(rows.map(|(row, run)| (row, run.clone())).take(limit + 1).collect(), limit))
        })
    }

    fn stuck_plan_runs(&self, grace: Duration, limit: u32) -> BoxFuture<'_, Result<Vec<PlanRun>>> {
        self.call(move |tables, now| {
            let late = now.saturating_sub(i64::try_from(grace.as_millis()).unwrap_or(i64::MAX));
            let is_stuck = |(run, told): &&(PlanRun, Option<i64>)| {
                run.finished_at.is_none() && told.is_none() && run.deadline_at.is_some_and(|at| to_millis(at) < late)
            };
            let mut stuck: Vec<PlanRun> =
                tables.plan_runs.iter().filter(is_stuck).map(|(run, _)| run.clone()).collect();
            stuck.sort_by_key(|run| run.deadline_at);
            stuck.truncate(limit as usize);
            Ok(stuck)
        })
    }

    fn tell_stuck(&self, id: PlanRunId, outbox: Vec<Outgoing>) -> BoxFuture<'_, Result<bool>> {
        self.call(move |tables, now| {
            let mut runs = tables.plan_runs.iter_mut();
            let Some((_, told)) = runs.find(|(run, told)| run.id == id && run.finished_at.is_none() && told.is_none())
            else {
                return Ok(false);
            };
            *told = Some(now);
            outbox.into_iter().for_each(|outgoing| tables.send(outgoing, None, now));
            Ok(true)
        })
    }
}

impl Tables {
    pub(super) fn write_plan_run(&mut self, number: usize, new: NewPlanRun, now: i64) {
        let row = &self.rows[number];
        let id = PlanRunId::of(row.id);
        let NewPlanRun { status, deadline_at, told, progress } = new;
        let now = from_millis(now);
        if !self.plan_runs.iter().any(|(run, _)| run.id == id) {
            let run = PlanRun {
                id,
                execution_id: row.id,
                agent: row.agent.clone(),
                trace_id: row.event.trace_id,
                status,
                version: 0,
                told,
                created_at: now,
                updated_at: now,
                finished_at: None,
                deadline_at,
                progress: progress.clone(),
            };
            self.plan_runs.push((run, None));
        }
        for (run, _) in self.plan_runs.iter_mut().filter(|(run, _)| run.id == id) {
            run.version += 1;
            (run.status, run.told, run.updated_at) = (status, told, now);
            run.finished_at = status.is_final().then_some(now);
            run.deadline_at = run.deadline_at.or(deadline_at);
            run.progress = progress.clone();
        }
    }

    /// Ends the run of an execution that has ended without success.
    pub(super) fn close_plan_run(&mut self, number: usize, now: i64) {
        let (id, status) = (self.rows[number].id, self.rows[number].status);
        for (run, _) in self.plan_runs.iter_mut().filter(|(run, _)| run.execution_id == id) {
            if run.finished_at.is_none() {
                let cancelled = status == ExecutionStatus::Cancelled;
                run.status = if cancelled { PlanRunStatus::Cancelled } else { PlanRunStatus::Failed };
                run.version += 1;
                (run.updated_at, run.finished_at) = (from_millis(now), Some(from_millis(now)));
            }
        }
    }
}
