//! Over what the Portia SDK 0.9 writes (`Plan.model_dump_json`, `PlanRun.model_dump_json`).

use serde_json::{Value, json};

use super::{NotPortia, check, import};
use crate::id::AgentId;

fn agent() -> AgentId {
    "clerk".parse().unwrap()
}

fn plan() -> Value {
    json!({
        "id": "plan-3f9d3c0e-6d0e-4c40-8f5c-0f6a0e6f2b11",
        "plan_context": { "query": "Tell me whether it is warmer in London than in Oslo", "tool_ids": ["weather", "llm_tool"] },
        "steps": [
            { "task": "Find the weather in London", "inputs": [], "tool_id": "weather", "output": "$london",
              "structured_output_schema": null, "condition": null },
            { "task": "Find the weather in the other city", "tool_id": "weather", "output": "$other",
              "inputs": [{ "name": "$city", "description": "the other city" }], "condition": "" },
            { "task": "Compare", "tool_id": null, "output": "$verdict",
              "inputs": [{ "name": "$london", "description": "" }, { "name": "$other", "description": "Oslo's weather" }],
              "condition": "if $london is not empty" },
        ],
        "plan_inputs": [{ "name": "$city", "description": "a city", "value": { "value": "Oslo", "summary": null } }],
        "structured_output_schema": null,
    })
}

fn run(state: &str, at: usize) -> Value {
    json!({
        "id": "prun-1c8d3c0e-6d0e-4c40-8f5c-0f6a0e6f2b11",
        "plan_id": "plan-3f9d3c0e-6d0e-4c40-8f5c-0f6a0e6f2b11",
        "current_step_index": at,
        "state": state,
        "end_user_id": "portia:default_user",
        "plan_run_inputs": { "$city": { "value": "Bergen", "summary": null } },
        "outputs": {
            "clarifications": [
                { "id": "clar-1", "category": "Input", "user_guidance": "Which unit?", "resolved": state != "NEED_CLARIFICATION",
                  "response": null, "argument_name": "unit", "step": 1 },
            ],
            "step_outputs": {
                "$london": { "output_name": "$london", "plan_run_id": "prun-1", "summary": "19 degrees" },
                "$other": { "value": "12 degrees", "summary": null },
            },
            "final_output": null,
        },
    })
}

#[test]
fn a_plan_is_taken_over_whole() {
    let imported = import(plan(), None, &agent()).unwrap();
    let plan = imported.task.plan.unwrap();
    assert_eq!(imported.task.task, "Tell me whether it is warmer in London than in Oslo");
    assert_eq!(check(&plan, &[agent()]), []);
    assert_eq!(plan.inputs[0].value, Some(json!("Oslo")));
    let third = serde_json::to_value(&plan.steps[2]).unwrap();
    let expected = json!({
        "task": "Compare", "agent": "clerk", "output": "$verdict", "condition": "if $london is not empty",
        "inputs": ["$london", { "name": "$other", "description": "Oslo's weather" }],
    });
    assert_eq!(third, expected);
    assert_eq!((plan.steps[0].tool_id.as_deref(), &plan.steps[1].condition), (Some("weather"), &None));
}

#[test]
fn a_run_goes_on_after_what_it_has_done() {
    let kept = |state, at| {
        let imported = import(plan(), Some(run(state, at)), &agent()).unwrap();
        assert_eq!(imported.task.inputs.len(), 1);
        let kept = imported.task.kept.into_iter().map(|kept| (kept.step, kept.output)).collect::<Vec<_>>();
        (kept, imported.notes.len())
    };
    let (london, other) = ((0, Some(json!("19 degrees"))), (1, Some(json!("12 degrees"))));
    // The index is of the step just finished; one that failed or asks is done anew.
    assert_eq!(kept("IN_PROGRESS", 1), (vec![london.clone(), other], 0));
    assert_eq!(kept("FAILED", 1), (vec![london.clone()], 0));
    assert_eq!(kept("NEED_CLARIFICATION", 1), (vec![london.clone()], 1));
    assert_eq!(kept("NOT_STARTED", 0), (vec![london], 0));
}

#[test]
fn what_is_no_portia_plan_says_why() {
    let error = import(json!({ "steps": [] }), None, &agent()).unwrap_err().to_string();
    assert!(error.contains("plan_context"), "{error}");
    let mut other = run("FAILED", 1);
    other["plan_id"] = json!("plan-other");
    assert!(matches!(import(plan(), Some(other), &agent()), Err(NotPortia::OtherPlan { .. })));
    let mut bad = plan();
    bad["steps"][1]["output"] = json!("$the city");
    assert!(matches!(import(bad, None, &agent()), Err(NotPortia::Name { step: 1, .. })));
}
