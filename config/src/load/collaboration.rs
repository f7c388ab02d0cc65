//! What no schema can say about a coordinator.

use std::collections::BTreeSet;

use greenroom_contract::plan::{Name, Plan, check as faults, check_schema, references};

use super::rules::Rules;
use crate::spec::{Collaboration, Mode, ResultOf};

pub(super) fn check(rules: &mut Rules<'_>) {
    let spec = rules.spec;
    let Some(collaboration) = &spec.collaboration else { return };
    if spec.execution_mode != Mode::Collaborative {
        let help = "write `execution_mode: collaborative`";
        rules.refuse("execution_mode", "has to be `collaborative`: there is a `collaboration`", help);
    }
    let Collaboration { agents, plan, examples, template, .. } = collaboration;
    let mut seen = BTreeSet::new();
    for (i, agent) in agents.iter().enumerate() {
        let path = format!("collaboration.agents[{i}]");
        if *agent == spec.name {
            rules.refuse(&path, "is this agent itself, which would wait for its own answer", "name the others");
        } else if !seen.insert(agent) {
            rules.refuse(&path, format!("{agent} stands here twice"), "keep one of them");
        }
    }
    if let Some(plan) = plan {
        refuse_faults(rules, "collaboration.plan", plan);
        if !examples.is_empty() {
            rules.warn("collaboration.examples", "have no effect: there is a `plan`");
        }
    }
    for (i, example) in examples.iter().enumerate() {
        refuse_faults(rules, &format!("collaboration.examples[{i}].plan"), &example.plan);
    }
    if let Some(template) = template {
        if collaboration.result != ResultOf::Last {
            rules.refuse("collaboration.result", "stands beside `template`", "keep one of the two");
        }
        if let Some(plan) = plan {
            unknown_names(rules, plan, template);
        }
    }
    if let Some(Err(why)) = collaboration.structured_output_schema.as_ref().map(check_schema) {
        rules.refuse("collaboration.structured_output_schema", format!("is no JSON Schema: {why}"), "");
    }
    if !spec.tools.is_empty() {
        rules.warn("tools", "have no effect: a coordinator works through its `collaboration.agents`");
    }
    rules.positive("collaboration.deadline", collaboration.deadline);
}

fn refuse_faults(rules: &mut Rules<'_>, path: &str, plan: &Plan) {
    let agents = rules.spec.collaboration.iter().flat_map(|own| own.agents.clone()).collect::<Vec<_>>();
    for fault in faults(plan, &agents) {
        rules.refuse(&format!("{path}.{}", fault.at), fault.what, "");
    }
}

fn unknown_names(rules: &mut Rules<'_>, plan: &Plan, template: &str) {
    let inputs = plan.inputs.iter().map(|input| &input.name);
    let task = Name::task();
    let known: BTreeSet<&Name> = inputs.chain([&task]).chain(plan.steps.iter().map(|step| &step.output)).collect();
    let mut strange: Vec<String> = references(template)
        .into_iter()
        .map(|r| r.name)
        .filter(|n| !known.contains(n))
        .map(|n| n.to_string())
        .collect();
    strange.dedup();
    if !strange.is_empty() {
        let message = format!("names {}, which the plan does not have", strange.join(", "));
        rules.refuse("collaboration.template", message, "write `$$` for a dollar");
    }
}
