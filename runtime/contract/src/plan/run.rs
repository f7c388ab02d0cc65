//! A run of a plan: what was asked, and how far it is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Plan, Values};
use crate::{
    duration::HumanDuration,
    execution::Failure,
    id::{AgentId, ExecutionId, PlanRunId, TraceId},
    money::MicroUsd,
    status::{PlanRunStatus, PlanStepStatus},
};

/// What a coordinator is asked to do: the input of the event that it handles. A text alone is a task, too.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// What is wanted.
    pub task: String,
    /// Values of the plan's inputs.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    pub inputs: Values,
    /// The plan to follow, instead of the coordinator's own or of one that its model makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// Whether a person has to allow the plan. A coordinator whose file wants that asks in any case.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approve: bool,
    /// Who may allow the plan; empty: whom its coordinator's file names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<String>,
    /// How long the run may take, if that is less than its coordinator allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<HumanDuration>,
    /// What the run may cost in dollars, if that is less than its coordinator allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<f64>,
    /// The JSON Schema that the result has to follow, instead of its coordinator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured_output_schema: Option<Value>,
    /// The run that this one goes on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork_of: Option<PlanRunId>,
    /// Steps of `plan` that are done already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<KeptStep>,
}

/// A step that an earlier run did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptStep {
    /// Its place in the plan, from 0.
    pub step: usize,
    /// What it put out; absent if it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// The execution that did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_id: Option<ExecutionId>,
}

/// How far a run is, but for its status.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanProgress {
    /// What is wanted.
    pub task: String,
    /// Values of the plan's inputs.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    pub inputs: Values,
    /// The plan, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// Its fingerprint: what people allow is this plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// How far each step of the plan is, in the plan's order.
    #[serde(default)]
    pub steps: Vec<StepRun>,
    /// The result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// What its steps and its own model calls cost, as far as it is known.
    #[serde(default, rename = "cost_usd", skip_serializing_if = "Option::is_none")]
    pub cost: Option<MicroUsd>,
    /// The run that it goes on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork_of: Option<PlanRunId>,
}

/// How far a step of a run is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRun {
    /// How far.
    pub status: PlanStepStatus,
    /// How often its agent was asked.
    #[serde(default)]
    pub tries: u32,
    /// The execution that does it, or did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_id: Option<ExecutionId>,
    /// What it put out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// How many characters its output has, where that is too long to stand here: the execution has the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_chars: Option<u64>,
    /// What others are told of such an output, once somebody was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Why it failed, or its last try did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// Why it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether an earlier run did it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
    /// What it cost, as far as it is known.
    #[serde(default, rename = "cost_usd", skip_serializing_if = "Option::is_none")]
    pub cost: Option<MicroUsd>,
    /// When its agent was first asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When the coordinator saw its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl Default for StepRun {
    fn default() -> Self {
        Self {
            status: PlanStepStatus::Pending,
            tries: 0,
            execution_id: None,
            output: None,
            output_chars: None,
            summary: None,
            error: None,
            reason: None,
            kept: false,
            cost: None,
            started_at: None,
            ended_at: None,
        }
    }
}

/// A run on its way into the store, in the transaction in which its coordinator waits or ends.
#[derive(Debug, Clone)]
pub struct NewPlanRun {
    /// How far it is.
    pub status: PlanRunStatus,
    /// Until when it has to have ended.
    pub deadline_at: Option<Timestamp>,
    /// How many of its news were sent, this transaction's included: a run that goes on after a crash sends none twice.
    pub told: u32,
    /// The rest.
    pub progress: PlanProgress,
}

/// A run as the store keeps it and the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanRun {
    /// Its id.
    #[serde(rename = "plan_run_id")]
    pub id: PlanRunId,
    /// The coordinator's execution.
    pub execution_id: ExecutionId,
    /// The coordinator.
    pub agent: AgentId,
    /// The workflow.
    pub trace_id: TraceId,
    /// How far it is.
    pub status: PlanRunStatus,
    /// How often it was written.
    pub version: u64,
    /// How many of its news were sent.
    #[serde(skip)]
    pub told: u32,
    /// When it was first written.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Until when it has to have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_at: Option<Timestamp>,
    /// The rest.
    #[serde(flatten)]
    pub progress: PlanProgress,
}

/// Which runs are wanted.
#[derive(Debug, Clone, Default)]
pub struct PlanRunFilter {
    /// Of this coordinator.
    pub agent: Option<AgentId>,
    /// In this state.
    pub status: Option<PlanRunStatus>,
}

impl PlanProgress {
    /// What a new run keeps of this one, if it begins anew at a step (counted from 0; without one, at whatever has no output): the steps
    /// that are done and depend on nothing that is done anew.
    pub fn kept_from(&self, from: Option<usize>) -> Vec<KeptStep> {
        let Some(plan) = &self.plan else { return Vec::new() };
        let mut keeps = vec![false; plan.steps.len()];
        for (place, step) in self.steps.iter().enumerate().take(plan.steps.len()) {
            let is_done = matches!(step.status, PlanStepStatus::Succeeded | PlanStepStatus::Skipped);
            // What was skipped because the run came to its end early, or because it failed, had its turn.
            keeps[place] = is_done && from != Some(place) && plan.needs(place).into_iter().all(|need| keeps[need]);
        }
        let kept = self.steps.iter().enumerate().zip(keeps).filter(|(_, keeps)| *keeps);
        kept.map(|((step, run), _)| KeptStep { step, output: run.output.clone(), execution_id: run.execution_id })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fork_keeps_what_does_not_depend_on_what_is_done_anew() {
        let step = |output: &str, depends_on: &[&str]| json!({ "task": "Do it", "agent": "ada", "output": output, "depends_on": depends_on });
        let plan =
            json!({ "steps": [step("$a", &[]), step("$b", &["$a"]), step("$c", &["$a"]), step("$d", &["$b", "$c"])] });
        let run = |status| StepRun { status, output: Some(json!(1)), ..StepRun::default() };
        let progress = PlanProgress {
            plan: Some(serde_json::from_value(plan).unwrap()),
            steps: vec![
                run(PlanStepStatus::Succeeded),
                run(PlanStepStatus::Failed),
                run(PlanStepStatus::Succeeded),
                run(PlanStepStatus::Pending),
            ],
            ..PlanProgress::default()
        };
        let kept = |from| progress.kept_from(from).iter().map(|kept| kept.step).collect::<Vec<_>>();
        assert_eq!(kept(None), [0, 2], "the failed one and what needs it are done anew");
        assert_eq!(kept(Some(2)), [0]);
        assert_eq!(kept(Some(0)), Vec::<usize>::new());
    }

    #[test]
    fn a_task_is_read_as_it_is_written_and_says_what_it_does_not_know() {
        let written = json!({ "task": "Write", "inputs": { "$topic": "actors" }, "deadline": "2h" });
        let task: Task = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&task).unwrap(), written);
        let wrong = serde_json::from_value::<Task>(json!({ "task": "Write", "plans": {} })).unwrap_err().to_string();
        assert!(wrong.contains("plans"), "{wrong}");
    }
}
