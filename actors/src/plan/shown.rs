//! What people see of a run, as its coordinator makes it.

use greenroom_contract::{
    plan::{NewPlanRun, Plan, PlanProgress, StepRun, Task, Values},
    status::{PlanRunStatus, PlanStepStatus},
};
use jiff::Timestamp;

use super::{digest::Digests, news, runner::Runner};
use crate::execution::{Context, Trouble};

/// The run, so far.
pub(super) struct Shown {
    run: NewPlanRun,
    /// Whether it is in the store.
    is_written: bool,
    deadline: Timestamp,
}

impl Shown {
    /// A run at its beginning. What was told of it before a restart is not told again.
    pub(super) async fn open(context: &Context, task: &Task) -> Result<Self, Trouble> {
        // A first claim has seen nothing yet.
        let before = if context.is_noted() { context.plan_run_before().await? } else { None };
        let progress = PlanProgress { task: task.task.clone(), fork_of: task.fork_of, ..PlanProgress::default() };
        let told = before.as_ref().map_or(0, |run| run.told);
        let run = NewPlanRun { status: PlanRunStatus::Planning, deadline_at: None, told, progress };
        Ok(Self { run, is_written: before.is_some(), deadline: Timestamp::MAX })
    }

    pub(super) fn deadline(&mut self, deadline: Timestamp) {
        self.deadline = deadline;
        self.run.deadline_at = Some(deadline);
    }

    /// Until when the run has to have ended.
    pub(super) fn deadline_at(&self) -> Timestamp {
        self.deadline
    }

    /// A model is about to make the plan, which may take a while.
    pub(super) async fn planning(&mut self, context: &mut Context) -> Result<(), Trouble> {
        if !self.is_written {
            context.save_plan_run(&self.run).await?;
            self.is_written = true;
        }
        context.show(self.run.clone(), Vec::new());
        Ok(())
    }

    pub(super) fn plan(&mut self, plan: &Plan, inputs: &Values) {
        let progress = &mut self.run.progress;
        progress.digest = Some(plan.digest());
        progress.steps = vec![StepRun::default(); plan.steps.len()];
        progress.plan = Some(plan.clone());
        progress.inputs = inputs.clone();
    }

    pub(super) fn awaiting_approval(&mut self, context: &mut Context) {
        self.run.status = PlanRunStatus::AwaitingApproval;
        context.show(self.run.clone(), Vec::new());
    }

    /// The run as it is now, with the news since it was last written.
    pub(super) fn show(&mut self, context: &mut Context, runner: &Runner, digests: &Digests) {
        let is = |status| runner.steps().iter().any(|step| step.status == status);
        let waits = is(PlanStepStatus::Waiting) && !is(PlanStepStatus::Running);
        self.run.status = if waits { PlanRunStatus::Waiting } else { PlanRunStatus::Running };
        let steps = runner.steps().iter().enumerate();
        self.run.progress.steps = steps.map(|(step, run)| digests.shown(step, run)).collect();
        self.run.progress.cost = runner.spent();
        let news = news::of_steps(context.claimed(), runner, self.run.told);
        let told = self.run.told.max(runner.news().len() as u32);
        context.show(NewPlanRun { told, ..self.run.clone() }, news);
    }
}
