//! Agents that ask agents: the caller waits without holding anything and goes on with the answer, on both backends.

use kit::{
    model::{Gate, Reply},
    node::Node,
    wait,
};
use serde_json::{Value, json};

use crate::{
    cast::{SOON, agent},
    stand::{Stand, on_both},
};

on_both! {
    another_agents_answer_is_the_tools_and_outlives_every_node
    agents_that_are_asked_at_once_work_side_by_side
    nobody_is_asked_who_waits_for_the_answer
    who_does_not_answer_in_time_is_cancelled
    what_nobody_waits_for_any_more_is_cancelled
    a_failure_is_told_to_the_one_who_asked
}

fn asks(agents: &str) -> String {
    format!("tools: [{{builtin: ask_agent, agents: [{agents}]}}]")
}

fn question(agent: &str, question: &str) -> (&'static str, Value) {
    ("ask_agent", json!({ "agent": agent, "question": question }))
}

/// The one execution of an agent, once there is one.
async fn only(node: &Node, agent: &str) -> Value {
    wait::seen(&format!("an execution of {agent}"), SOON, async || {
        let mut all = node.executions(agent).await;
        if all.len() == 1 { Ok(all.remove(0)) } else { Err(json!(all)) }
    })
    .await
}

async fn another_agents_answer_is_the_tools_and_outlives_every_node(stand: Stand) {
    let (home, model, gate) = (&stand.home, &stand.model, Gate::closed());
    home.agent("chief", &agent("chief", model, &asks("clerk")));
    home.agent("clerk", &agent("clerk", model, ""));
    let held = gate.clone();
    model.rule(move |asked| match (asked.turn(), asked.question().as_str()) {
        (0, "Plan") => Reply::tools(&[question("clerk", "How many?")]),
        (0, _) => Reply::text("seven").held_by(&held),
        _ => Reply::text(format!("The clerk says {}", asked.tool_results().join(", "))),
    });
    let node = stand.launch().start().await;
    let id = node.submit("chief", "Plan").await;
    let waiting = node.execution_is(&id, &["waiting"], SOON).await;
    assert_eq!(waiting["steps"][1]["kind"], "agent", "{waiting}");
    assert_eq!((&waiting["steps"][1]["name"], &waiting["steps"][1]["status"]), (&json!("clerk"), &json!("intended")));
    node.agent_is("chief", &["idle"], SOON).await;
    let asked = only(&node, "clerk").await;
    assert_eq!((&asked["trace_id"], &asked["input"]["input"]), (&waiting["trace_id"], &json!("How many?")));
    node.kill9().await;

    let node = stand.launch().start().await;
    gate.open();
    let ended = node.execution_is(&id, &["succeeded"], SOON).await;
    assert_eq!(ended["output"], "The clerk says seven", "{ended}");
    assert_eq!((&ended["attempt"], &ended["crashes"]), (&json!(1), &json!(0)), "waiting is no failure");
    let step = &ended["steps"][1]["result"];
    assert_eq!((&step["status"], &step["execution_id"]), (&json!("succeeded"), &asked["execution_id"]));
    let questions = model.asked().into_iter().filter(|asked| asked.turn() == 0 && asked.question() == "Plan").count();
    assert_eq!(questions, 1, "the call before was not made again");
    assert!(node.stop().await.success());
}

async fn agents_that_are_asked_at_once_work_side_by_side(stand: Stand) {
    let (home, model, gate) = (&stand.home, &stand.model, Gate::closed());
    home.agent("chief", &agent("chief", model, &asks("left, right")));
    home.agent("left", &agent("left", model, ""));
    home.agent("right", &agent("right", model, ""));
    let held = gate.clone();
    model.rule(move |asked| match (asked.turn(), asked.question().as_str()) {
        (0, "Plan") => Reply::tools(&[question("left", "l?"), question("nobody", "n?"), question("right", "r?")]),
        (0, "l?") => Reply::text("L").held_by(&held),
        (0, _) => Reply::text("R"),
        _ => Reply::text(asked.tool_results().join(" | ")),
    });
    let node = stand.launch().start().await;
    let id = node.submit("chief", "Plan").await;
    let right = only(&node, "right").await;
    let right = right["execution_id"].as_str().unwrap_or_default();
    node.execution_is(right, &["succeeded"], SOON).await;
    node.execution_is(&id, &["waiting"], SOON).await;
    gate.open();
    let ended = node.execution_is(&id, &["succeeded"], SOON).await;
    assert_eq!(ended["output"], "L | Error: ask_agent may ask left, right, and not \"nobody\" | R", "{ended}");
    assert!(node.stop().await.success());
}

async fn nobody_is_asked_who_waits_for_the_answer(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    home.agent("hen", &agent("hen", model, &asks("egg")));
    home.agent("egg", &agent("egg", model, &asks("hen")));
    model.rule(|asked| match (asked.turn(), asked.question().as_str()) {
        (0, "Who was first?") => Reply::tools(&[question("egg", "Was it you?")]),
        (0, _) => Reply::tools(&[question("hen", "Was it you?")]),
        _ => Reply::text(asked.tool_results().join(", ")),
    });
    let node = stand.launch().start().await;
    let id = node.submit("hen", "Who was first?").await;
    let ended = node.execution_is(&id, &["succeeded"], SOON).await;
    let output = ended["output"].as_str().unwrap_or_default();
    assert!(output.contains("call_cycle") && output.contains("hen → egg → hen"), "{ended}");
    assert_eq!(node.executions("hen").await.len(), 1);
    assert!(node.stop().await.success());
}

async fn who_does_not_answer_in_time_is_cancelled(stand: Stand) {
    let (home, model, gate) = (&stand.home, &stand.model, Gate::closed());
    let asks = "tools: [{builtin: ask_agent, agents: [clerk], answer_within: 1s}]";
    home.agent("chief", &agent("chief", model, asks));
    home.agent("clerk", &agent("clerk", model, ""));
    let held = gate.clone();
    model.rule(move |asked| match (asked.turn(), asked.question().as_str()) {
        (0, "Plan") => Reply::tools(&[question("clerk", "Well?")]),
        (0, _) => Reply::text("too late").held_by(&held),
        _ => Reply::text(asked.tool_results().join(", ")),
    });
    let node = stand.launch().start().await;
    let id = node.submit("chief", "Plan").await;
    let ended = node.execution_is(&id, &["succeeded"], SOON).await;
    let told = "Error: clerk has no answer: timed_out: clerk did not answer in time";
    assert_eq!(ended["output"], told, "{ended}");
    let asked = only(&node, "clerk").await;
    assert_eq!((&asked["status"], &asked["error"]["code"]), (&json!("cancelled"), &json!("timed_out")), "{asked}");
    gate.open();
    assert!(node.stop().await.success());
}

async fn what_nobody_waits_for_any_more_is_cancelled(stand: Stand) {
    let (home, model, gate) = (&stand.home, &stand.model, Gate::closed());
    home.agent("chief", &agent("chief", model, &asks("clerk")));
    home.agent("clerk", &agent("clerk", model, &asks("helper")));
    home.agent("helper", &agent("helper", model, ""));
    let held = gate.clone();
    model.rule(move |asked| match asked.question().as_str() {
        "Plan" => Reply::tools(&[question("clerk", "Well?")]),
        "Well?" => Reply::tools(&[question("helper", "And?")]),
        _ => Reply::text("nothing").held_by(&held),
    });
    let node = stand.launch().start().await;
    let id = node.submit("chief", "Plan").await;
    only(&node, "helper").await;
    node.post(&format!("/v1/executions/{id}/cancel"), &json!({})).await.expect(200);
    for agent in ["clerk", "helper"] {
        let asked = only(&node, agent).await;
        let asked = asked["execution_id"].as_str().unwrap_or_default();
        node.execution_is(asked, &["cancelled"], SOON).await;
    }
    gate.open();
    assert!(node.stop().await.success());
}

async fn a_failure_is_told_to_the_one_who_asked(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    home.agent("chief", &agent("chief", model, &asks("clerk")));
    home.agent("clerk", &agent("clerk", model, "limits: {max_attempts: 2, retry: {min: 10ms, max: 10ms}}"));
    model.rule(|asked| match (asked.turn(), asked.question().as_str()) {
        (0, "Plan") => Reply::tools(&[question("clerk", "Well?")]),
        (0, _) => Reply::status(400, "no such thing"),
        _ => Reply::text(asked.tool_results().join(", ")),
    });
    let node = stand.launch().start().await;
    let id = node.submit("chief", "Plan").await;
    let ended = node.execution_is(&id, &["succeeded"], SOON).await;
    let output = ended["output"].as_str().unwrap_or_default();
    assert!(output.starts_with("Error: clerk has no answer: ") && output.contains("no such thing"), "{ended}");
    assert!(node.stop().await.success());
}
