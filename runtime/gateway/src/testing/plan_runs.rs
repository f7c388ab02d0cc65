//! A store with one plan run.
#![expect(clippy::unimplemented, reason = "no door calls these")]

use std::time::Duration;

use greenroom_contract::{
    BoxFuture, PlanRunId, TraceId,
    execution::Fence,
    page::{Page, PageRequest},
    plan::{NewPlanRun, PlanProgress, PlanRun, PlanRunFilter},
    port::{
        operator::{self, Invoked, NewTask, PlanRunShown},
        state::{Outgoing, PlanRuns, Result},
    },
    status::{ExecutionStatus, PlanRunStatus},
};
use jiff::Timestamp;
use serde_json::json;

use super::{NOW, execution, house::FakeOperator, store::FakeState};

/// The run of the execution that there is.
pub(crate) fn plan_run() -> PlanRun {
    let execution = execution(ExecutionStatus::Waiting);
    let plan = json!({ "steps": [
        { "task": "Look", "agent": "researcher", "output": "$facts" },
        { "task": "Write", "agent": "researcher", "output": "$text" },
    ]});
    let steps = json!([
        { "status": "succeeded", "tries": 1, "output": "a fact" },
        { "status": "failed", "tries": 1, "error": { "code": "x", "message": "it broke" } },
    ]);
    let plan: greenroom_contract::plan::Plan = serde_json::from_value(plan).unwrap();
    let at = Timestamp::from_second(NOW).unwrap();
    PlanRun {
        id: PlanRunId::of(execution.id),
        execution_id: execution.id,
        agent: execution.agent,
        trace_id: execution.trace_id,
        status: PlanRunStatus::Failed,
        version: 3,
        told: 0,
        created_at: at,
        updated_at: at,
        finished_at: None,
        deadline_at: None,
        progress: PlanProgress {
            task: "Write about actors".to_owned(),
            digest: Some(plan.digest()),
            plan: Some(plan),
            steps: serde_json::from_value(steps).unwrap(),
            ..PlanProgress::default()
        },
    }
}

impl FakeOperator {
    pub(super) async fn take_task(&self, task: NewTask) -> std::result::Result<Invoked, operator::Error> {
        let trace_id = task.trace_id;
        self.feel().await?;
        self.tasks.lock().unwrap().push(task);
        self.begin_anew(trace_id).await
    }

    pub(super) async fn begin_anew(&self, trace_id: TraceId) -> std::result::Result<Invoked, operator::Error> {
        self.feel().await?;
        let execution_id = execution(ExecutionStatus::Queued).id;
        Ok(Invoked { execution_id, trace_id, status: ExecutionStatus::Queued })
    }

    pub(super) async fn show_plan_run(&self, id: PlanRunId) -> std::result::Result<PlanRunShown, operator::Error> {
        self.feel().await?;
        let missing = || operator::Error::NotFound { what: format!("plan run {id}") };
        let run = Some(plan_run()).filter(|run| run.id == id).ok_or_else(missing)?;
        Ok(PlanRunShown { run, questions: Vec::new() })
    }
}

impl PlanRuns for FakeState {
    fn save_plan_run(&self, _: Fence, _: NewPlanRun) -> BoxFuture<'_, Result<()>> {
        unimplemented!()
    }

    fn plan_run(&self, id: PlanRunId) -> BoxFuture<'_, Result<Option<PlanRun>>> {
        Box::pin(async move { Ok(Some(plan_run()).filter(|run| run.id == id)) })
    }

    fn plan_runs(&self, filter: PlanRunFilter, _: PageRequest) -> BoxFuture<'_, Result<Page<PlanRun>>> {
        let wanted = |run: &PlanRun| filter.status.is_none_or(|status| status == run.status);
        let found = Some(plan_run()).filter(wanted);
        Box::pin(async move { Ok(Page::whole(found.into_iter().collect())) })
    }

    fn stuck_plan_runs(&self, _: Duration, _: u32) -> BoxFuture<'_, Result<Vec<PlanRun>>> {
        unimplemented!()
    }

    fn tell_stuck(&self, _: PlanRunId, _: Vec<Outgoing>) -> BoxFuture<'_, Result<bool>> {
        unimplemented!()
    }
}
