//! What is wrong with a plan, for whoever wrote it: a person, or a planner that is asked again.

use std::{collections::BTreeSet, fmt};

use serde_json::Value;

use super::{Name, Plan, PlanStep, Reference, parse, references};
use crate::{form::Form, id::AgentId, port::llm::OutputForm};

/// So many steps a plan has at most.
pub const MOST_STEPS: usize = 100;
/// How often a step is tried again at most.
const MOST_RETRIES: u32 = 10;
/// The longest task, in characters.
const LONGEST_TASK: usize = 10_000;

/// Something that is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, for example `steps[2].inputs`.
    pub at: String,
    /// What, for whoever wrote it.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.at, self.what)
    }
}

/// Everything that is wrong with a plan of these agents. Where nothing is, every run of it comes to an end.
pub fn check(plan: &Plan, agents: &[AgentId]) -> Vec<Fault> {
    let mut checker = Checker { agents, known: BTreeSet::from([Name::task()]), faults: Vec::new() };
    match plan.steps.len() {
        0 => checker.fault("steps".to_owned(), "are none: a plan has at least one step"),
        1..=MOST_STEPS => {}
        more => checker.fault("steps".to_owned(), format!("are {more}; a plan has at most {MOST_STEPS}")),
    }
    for (place, input) in plan.inputs.iter().enumerate() {
        if !checker.known.insert(input.name.clone()) {
            let what = format!("{} is the name of an earlier input, or of the task itself", input.name);
            checker.fault(format!("inputs[{place}].name"), what);
        }
    }
    let given = checker.known.clone();
    for (place, step) in plan.steps.iter().enumerate() {
        checker.step(plan, place, step);
        let at = format!("steps[{place}].output");
        if given.contains(&step.output) {
            checker.fault(at, format!("{} is the name of an input of the plan, or of the task itself", step.output));
        } else if let Some(other) = plan.steps[..place].iter().position(|other| clashes(other, step)) {
            let output = &step.output;
            let what = format!(
                "{output} is the output of steps[{other}], too; names are unique, except of steps whose conditions differ"
            );
            checker.fault(at, what);
        }
        checker.known.insert(step.output.clone());
    }
    checker.faults
}

/// What is wrong with a JSON Schema, if it is none; it may refer to nothing outside of itself.
pub fn check_schema(schema: &Value) -> Result<(), String> {
    Form::new(OutputForm { name: "output".to_owned(), schema: schema.clone() }).map(drop)
}

/// The same output twice is for the branches of a choice.
fn clashes(one: &PlanStep, other: &PlanStep) -> bool {
    let no_choice = one.condition.is_none() || other.condition.is_none() || one.condition == other.condition;
    one.output == other.output && no_choice
}

struct Checker<'a> {
    agents: &'a [AgentId],
    /// What is known before the step that is looked at.
    known: BTreeSet<Name>,
    faults: Vec<Fault>,
}

impl Checker<'_> {
    fn fault(&mut self, at: String, what: impl Into<String>) {
        self.faults.push(Fault { at, what: what.into() });
    }

    fn step(&mut self, plan: &Plan, place: usize, step: &PlanStep) {
        let at = |key: &str| format!("steps[{place}].{key}");
        if step.task.trim().is_empty() {
            self.fault(at("task"), "is empty");
        } else if step.task.chars().count() > LONGEST_TASK {
            self.fault(at("task"), format!("is longer than {LONGEST_TASK} characters"));
        }
        if !self.agents.contains(&step.agent) {
            let names = self.agents.iter().map(AgentId::as_str).collect::<Vec<_>>().join(", ");
            self.fault(at("agent"), format!("{} is not one of the collaboration, which has {names}", step.agent));
        }
        for input in &step.inputs {
            self.name(plan, place, at("inputs"), &input.name);
        }
        for name in step.depends_on.iter().flatten() {
            self.name(plan, place, at("depends_on"), name);
        }
        if let Some(condition) = &step.condition {
            match parse::expression(condition) {
                Err(fault) if parse::looks_like_one(condition) => {
                    self.fault(at("condition"), format!("cannot be read as an expression: {fault}"));
                }
                Err(_) if condition.trim().is_empty() => self.fault(at("condition"), "is empty; leave it out"),
                _ => {}
            }
            for Reference { name, .. } in references(condition) {
                self.name(plan, place, at("condition"), &name);
            }
        }
        if let Some(Err(why)) = step.structured_output_schema.as_ref().map(check_schema) {
            self.fault(at("structured_output_schema"), format!("is no JSON Schema: {why}"));
        }
        if step.max_cost_usd.is_some_and(|cost| !cost.is_finite() || cost < 0.0) {
            self.fault(at("max_cost_usd"), "is not an amount of dollars");
        }
        if step.deadline.is_some_and(|deadline| deadline.0.is_zero()) {
            self.fault(at("deadline"), "is 0s");
        }
        if step.retries.is_some_and(|retries| retries > MOST_RETRIES) {
            self.fault(at("retries"), format!("are more than {MOST_RETRIES}"));
        }
    }

    /// A step uses only what was there before it: so there is no circle.
    fn name(&mut self, plan: &Plan, place: usize, at: String, name: &Name) {
        if self.known.contains(name) {
            return;
        }
        let later = plan.steps[place..].iter().position(|step| step.output == *name);
        let what = match later {
            Some(0) => format!("{name} is this step's own output"),
            Some(later) => format!(
                "{name} is the output of steps[{}], which comes later; a step uses only what earlier ones put out",
                place + later
            ),
            None => {
                let known = self.known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                format!("{name} is neither an input of the plan nor an earlier output; known here: {known}")
            }
        };
        self.fault(at, what);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn faults(plan: Value) -> Vec<String> {
        let plan: Plan = serde_json::from_value(plan).unwrap();
        let agents = ["ada".parse().unwrap(), "bob".parse().unwrap()];
        check(&plan, &agents).iter().map(ToString::to_string).collect()
    }

    fn step(output: &str, more: Value) -> Value {
        let mut step = json!({ "task": "Do it", "agent": "ada", "output": output });
        step.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        step
    }

    #[test]
    fn a_whole_plan_has_no_faults() {
        let plan = json!({ "inputs": [{ "name": "$topic" }], "steps": [
            step("$facts", json!({ "inputs": ["$topic"] })),
            step("$doubts", json!({ "inputs": [{ "name": "facts", "description": "to be doubted" }], "depends_on": [] })),
            step("$text", json!({ "condition": "exists($facts) and $doubts != \"none\"", "agent": "bob" })),
            step("$text", json!({ "condition": "the doubts in $doubts are few", "max_cost_usd": 0.1, "deadline": "1h" })),
        ]});
        assert_eq!(faults(plan), Vec::<String>::new());
    }

    #[test]
    fn every_fault_is_named_with_its_place() {
        let plan = json!({ "inputs": [{ "name": "$topic" }, { "name": "$topic" }], "steps": [
            step("$a", json!({ "inputs": ["$b"], "agent": "eve", "task": " " })),
            step("$b", json!({ "inputs": ["$c"], "depends_on": ["$b"], "condition": "$a == " })),
            step("$a", json!({ "max_cost_usd": -1, "deadline": "0s", "retries": 11 })),
            step("$topic", json!({})),
            step("$form", json!({ "structured_output_schema": { "type": "thing" } })),
        ]});
        let expected = [
            "inputs[1].name $topic is the name of an earlier input, or of the task itself",
            "steps[0].task is empty",
            "steps[0].agent eve is not one of the collaboration, which has ada, bob",
            "steps[0].inputs $b is the output of steps[1], which comes later; a step uses only what earlier ones put out",
            "steps[1].inputs $c is neither an input of the plan nor an earlier output; known here: $a, $task, $topic",
            "steps[1].depends_on $b is this step's own output",
            "steps[1].condition cannot be read as an expression: expected a `$name`, a number, a text in quotes, true, \
             false or null, at \"\"",
            "steps[2].max_cost_usd is not an amount of dollars",
            "steps[2].deadline is 0s",
            "steps[2].retries are more than 10",
            "steps[2].output $a is the output of steps[0], too; names are unique, except of steps whose conditions differ",
            "steps[3].output $topic is the name of an input of the plan, or of the task itself",
        ];
        let mut found = faults(plan);
        let schema = found.pop().unwrap_or_default();
        assert!(schema.starts_with("steps[4].structured_output_schema is no JSON Schema: "), "{schema}");
        assert_eq!(found, expected);
        assert_eq!(faults(json!({ "steps": [] })), ["steps are none: a plan has at least one step"]);
    }

    #[test]
    fn what_is_needed_is_what_is_named_or_all_that_comes_before() {
        let plan: Plan = serde_json::from_value(json!({ "steps": [
            step("$a", json!({})),
            step("$b", json!({ "depends_on": [] })),
            step("$c", json!({ "depends_on": ["$a"], "condition": "$b > 1" })),
            step("$d", json!({})),
        ]}))
        .unwrap();
        let needs: Vec<_> = (0..5).map(|place| plan.needs(place)).collect();
        assert_eq!(needs, [vec![], vec![], vec![0, 1], vec![0, 1, 2], vec![]]);
    }
}
