//! Plans and plan runs that the Portia SDK (0.9) wrote, as tasks for a coordinator.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{InvalidName, KeptStep, Plan, PlanInput, PlanStep, Task, Variable};
use crate::id::AgentId;

/// Why something is not what the Portia SDK writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPortia {
    /// It is no plan, or no plan run.
    #[error("this is not a {kind} as the Portia SDK writes it: {why}")]
    Unreadable {
        /// `plan` or `plan run`.
        kind: &'static str,
        /// What is missing or wrong.
        why: String,
    },
    /// A name cannot be used.
    #[error("steps[{step}]: {why}")]
    Name {
        /// Where.
        step: usize,
        /// Why.
        why: InvalidName,
    },
    /// The run is another plan's.
    #[error("the plan run is of {run}, not of {plan}")]
    OtherPlan {
        /// The plan's id.
        plan: String,
        /// The plan that the run names.
        run: String,
    },
}

/// What was imported.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The task, with its plan, and with the outputs of a run's finished steps.
    pub task: Task,
    /// What could not be taken over, for a person.
    pub notes: Vec<String>,
}

#[derive(Deserialize)]
struct PortiaPlan {
    #[serde(default)]
    id: Option<String>,
    plan_context: Context,
    steps: Vec<PortiaStep>,
    #[serde(default)]
    plan_inputs: Vec<PortiaInput>,
}

#[derive(Deserialize)]
struct Context {
    query: String,
}

#[derive(Deserialize)]
struct PortiaStep {
    task: String,
    #[serde(default)]
    inputs: Option<Vec<PortiaVariable>>,
    #[serde(default)]
    tool_id: Option<String>,
    output: String,
    #[serde(default)]
    condition: Option<String>,
    #[serde(default)]
    structured_output_schema: Option<Value>,
}

#[derive(Deserialize)]
struct PortiaVariable {
    name: String,
    #[serde(default)]
    description: Option<String>,
}

#[derive(Deserialize)]
struct PortiaInput {
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    value: Option<Value>,
}

#[derive(Deserialize)]
struct PortiaRun {
    #[serde(default)]
    plan_id: Option<String>,
    current_step_index: usize,
    state: String,
    #[serde(default)]
    outputs: Outputs,
    #[serde(default)]
    plan_run_inputs: BTreeMap<String, PortiaOutput>,
}

#[derive(Default, Deserialize)]
struct Outputs {
    #[serde(default)]
    clarifications: Vec<PortiaClarification>,
    #[serde(default)]
    step_outputs: BTreeMap<String, PortiaOutput>,
}

#[derive(Deserialize)]
struct PortiaClarification {
    #[serde(default)]
    resolved: bool,
    #[serde(default)]
    user_guidance: String,
}

/// A value that stands here, or one that the SDK's memory holds and of which only the summary stands here.
#[derive(Deserialize)]
struct PortiaOutput {
    #[serde(default)]
    value: Option<Value>,
    #[serde(default)]
    summary: Option<String>,
}

impl PortiaOutput {
    fn value(self) -> Value {
        self.value.or(self.summary.map(Value::from)).unwrap_or(Value::Null)
    }
}

/// Makes a task of a plan, and of a run of it if there is one: steps that the run has finished are kept. Portia knows no agents:
/// `agent` gets every step.
pub fn import(plan: Value, run: Option<Value>, agent: &AgentId) -> Result<Imported, NotPortia> {
    let read = |kind, why: serde_json::Error| NotPortia::Unreadable { kind, why: why.to_string() };
    let plan: PortiaPlan = serde_json::from_value(plan).map_err(|why| read("plan", why))?;
    let run: Option<PortiaRun> = run.map(serde_json::from_value).transpose().map_err(|why| read("plan run", why))?;
    let mut task = Task {
        task: plan.plan_context.query,
        plan: Some(Plan { inputs: inputs(plan.plan_inputs)?, steps: steps(plan.steps, agent)? }),
        ..Task::default()
    };
    let mut notes = Vec::new();
    if let Some(run) = run {
        if let (Some(plan), Some(of)) = (plan.id, &run.plan_id)
            && plan != *of
        {
            return Err(NotPortia::OtherPlan { plan, run: of.clone() });
        }
        go_on_from(run, &mut task, &mut notes)?;
    }
    Ok(Imported { task, notes })
}

fn inputs(inputs: Vec<PortiaInput>) -> Result<Vec<PlanInput>, NotPortia> {
    let read = |input: PortiaInput| {
        let name = input.name.parse().map_err(|why| NotPortia::Name { step: 0, why })?;
        let PortiaInput { description, value, .. } = input;
        // Values of inputs are wrapped as outputs are.
        let value = value.map(|value| match serde_json::from_value::<PortiaOutput>(value.clone()) {
            Ok(wrapped) if value.get("value").is_some() => wrapped.value(),
            _ => value,
        });
        Ok(PlanInput { name, description, value })
    };
    inputs.into_iter().map(read).collect()
}

fn steps(steps: Vec<PortiaStep>, agent: &AgentId) -> Result<Vec<PlanStep>, NotPortia> {
    let read = |(step, portia): (usize, PortiaStep)| {
        let name = |text: &str| text.parse().map_err(|why| NotPortia::Name { step, why });
        let variable = |variable: PortiaVariable| {
            let description = variable.description.filter(|text| !text.is_empty());
            Ok(Variable { name: name(&variable.name)?, description })
        };
        Ok(PlanStep {
            output: name(&portia.output)?,
            inputs: portia.inputs.unwrap_or_default().into_iter().map(variable).collect::<Result<_, _>>()?,
            task: portia.task,
            agent: agent.clone(),
            role: None,
            condition: portia.condition.filter(|text| !text.trim().is_empty()),
            tool_id: portia.tool_id,
            depends_on: None,
            deadline: None,
            max_cost_usd: None,
            on_failure: Default::default(),
            retries: None,
            structured_output_schema: portia.structured_output_schema,
        })
    };
    steps.into_iter().enumerate().map(read).collect()
}

/// Portia writes the place of the step that is at work, or was when it stopped; whether that one has ended is told by its output
/// being there. A step before it without an output was skipped.
fn go_on_from(run: PortiaRun, task: &mut Task, notes: &mut Vec<String>) -> Result<(), NotPortia> {
    let PortiaRun { current_step_index: at, state, outputs: Outputs { clarifications, mut step_outputs }, .. } = run;
    for (name, value) in run.plan_run_inputs {
        let name = name.parse().map_err(|why| NotPortia::Name { step: 0, why })?;
        task.inputs.insert(name, value.value());
    }
    let steps = task.plan.iter().flat_map(|plan| &plan.steps).enumerate();
    for (step, planned) in steps.take_while(|(step, _)| *step <= at) {
        let taken =
            step_outputs.remove(&planned.output.to_string()).or_else(|| step_outputs.remove(planned.output.bare()));
        // The output of a step that failed is its error.
        let output = taken.filter(|_| step < at || state != "FAILED").map(PortiaOutput::value);
        if step == at && (output.is_none() || state == "NEED_CLARIFICATION") {
            break;
        }
        task.kept.push(KeptStep { step, output, execution_id: None });
    }
    for open in clarifications.iter().filter(|asked| !asked.resolved) {
        notes.push(format!("the question {:?} was open; the step that asked it is done anew", open.user_guidance));
    }
    Ok(())
}
