//! How an agent has plans carried out by others.

use garde::Validate;
use greenroom_contract::{AgentId, plan::Plan};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::HumanDuration;

/// How an agent has plans carried out by others: it is then their coordinator, and what it is asked is a task. Its model makes the
/// plans, unless there is one here or in the task, and judges conditions that are sentences.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct Collaboration {
    /// The agents that steps may be given to. They need nothing in their own files for it.
    #[garde(length(min = 1, max = 50))]
    pub agents: Vec<AgentId>,
    /// The plan to follow. Without it the model makes one for each task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub plan: Option<Plan>,
    /// Whether a person has to allow each plan before its first step.
    #[serde(default)]
    #[garde(skip)]
    pub approve: Approve,
    /// What to do when agents of a plan are not there, or tools of theirs are down, before its first step.
    #[serde(default)]
    #[garde(skip)]
    pub when_not_ready: NotReady,
    /// Plans for the model to learn from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = 10))]
    pub examples: Vec<PlanExample>,
    /// What the result is made of.
    #[serde(default)]
    #[garde(skip)]
    pub result: ResultOf,
    /// The result as a text with `$name` for outputs and inputs, such as `$report.title`, instead of `result`; `$$` is a dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(min = 1, max = 100_000)))]
    pub template: Option<String>,
    /// The JSON Schema that the result has to follow. A model that makes the result is told what is wrong with it, up to three tries
    /// in all; then, and where no model makes it, the run fails with the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub structured_output_schema: Option<Value>,
    /// Up to how many characters a step's output stands whole in prompts and in the run as people see it. For a longer one a summary by
    /// this agent's model stands there, and an agent that is given it can read the whole.
    #[serde(default = "default_whole_up_to")]
    #[garde(range(min = 100, max = 16_000))]
    pub whole_up_to: u32,
    /// How many steps run side by side, where the plan allows it. With 1 they run in order.
    #[serde(default = "default_parallel")]
    #[garde(range(min = 1, max = 100))]
    pub parallel: u32,
    /// How long a run may take, waiting for people included.
    #[serde(default = "default_deadline")]
    #[garde(skip)]
    pub deadline: HumanDuration,
    /// What a run may cost in US dollars: its steps and the coordinator's own model calls. It is looked at before each step begins,
    /// and before each of those calls with the most that the call can cost; the agents' own `limits.budget_usd` stop a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0)))]
    pub max_cost_usd: Option<f64>,
}

fn default_whole_up_to() -> u32 {
    16_000
}

fn default_parallel() -> u32 {
    8
}

fn default_deadline() -> HumanDuration {
    HumanDuration::from_secs(7 * 24 * 3600)
}

/// A plan for the model to learn from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanExample {
    /// What was wanted.
    pub task: String,
    /// The plan for it.
    pub plan: Plan,
}

/// Whether a person has to allow each plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Approve {
    /// No, unless the task wants it.
    #[default]
    Never,
    /// Yes: the run waits until somebody has, for exactly this plan.
    Always,
}

/// What to do when what a plan needs is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotReady {
    /// A person is asked whether to look again, to begin all the same, or to end the run.
    #[default]
    Ask,
    /// The run fails, with what is missing.
    Fail,
    /// Begin all the same: steps wait for their agents.
    GoOn,
}

/// What the result of a run is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResultOf {
    /// The output of the last step that ran.
    #[default]
    Last,
    /// All outputs, by name.
    All,
    /// What the coordinator's model makes of the task and all outputs, in the form of `llm_config.output` if there is one.
    Model,
}
