//! Many runs at once, and runs that get stuck.

use std::time::Duration;

use kit::wait;
use serde_json::{Value, json};

use super::ground::{begin, lead, others, play, run_is};
use crate::{
    cast::{SOON, scripted},
    stand::{Stand, on_both},
};

/// So many runs are begun at once.
const CROWD: usize = 500;
/// On two busy processors, in a debug build.
const LONG: Duration = Duration::from_secs(240);

on_both! {
    none_of_five_hundred_runs_at_once_gets_stuck
    a_run_that_does_not_end_by_its_deadline_is_told_of
}

async fn none_of_five_hundred_runs_at_once_gets_stuck(stand: Stand) {
    for name in ["scout", "writer", "critic"] {
        stand.home.agent(name, &scripted(name, "[{reply: done}]", "concurrency: 64"));
    }
    let steps = "  plan:\n    steps:\n    \
        - {agent: scout, task: Find facts, output: $facts}\n    \
        - {agent: scout, task: Find left, inputs: [$facts], output: $left, depends_on: []}\n    \
        - {agent: writer, task: Find right, inputs: [$facts], output: $right, depends_on: []}\n    \
        - {agent: critic, task: Judge both, inputs: [$left, $right], output: $end}\n";
    let file = lead(&stand.model, steps).replace("collaboration:", "concurrency: 64\ncollaboration:");
    stand.home.agent("lead", &file);
    let node = stand.launch().start().await;
    for number in 0..CROWD {
        begin(&node, json!({ "agent": "lead", "task": format!("number {number}") })).await;
    }
    let count = async |status: &str| {
        let list = node.get(&format!("/v1/plans?limit=500&status={status}")).await.expect(200).json;
        list["items"].as_array().map(Vec::len).unwrap_or_default()
    };
    wait::seen("every run to end", LONG, async || {
        let (ended, failed) = (count("succeeded").await, count("failed").await);
        assert_eq!(failed, 0);
        if ended == CROWD { Ok(()) } else { Err(ended) }
    })
    .await;
    assert!(node.stop().await.success());
}

async fn a_run_that_does_not_end_by_its_deadline_is_told_of(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    others(home, model);
    home.agent("lead", &lead(model, "  plan: {steps: [{agent: critic, task: Judge it, output: $word}]}\n"));
    home.agent("ear", &scripted("ear", "[{reply: heard}]", "subscriptions: [\"collaboration.stuck.#\"]"));
    let question = json!({ "question": "Good?" });
    model.rule(move |asked| match asked.turn() {
        0 => kit::model::Reply::tool("ask_human", question.clone()),
        _ => play(asked),
    });
    let node = stand.launch().start().await;
    let id = begin(&node, json!({ "agent": "lead", "task": "Judge", "deadline": "2s" })).await;
    run_is(&node, &id, "waiting").await;
    // Its coordinator is held back, so that it cannot end what is late.
    node.post("/v1/agents/lead/pause", &json!({})).await.expect(200);
    let told = wait::seen("it to be told", SOON, async || {
        let heard = node.executions("ear").await;
        if heard.is_empty() { Err(json!(heard)) } else { Ok(heard[0].clone()) }
    })
    .await;
    assert_eq!(told["event_type"], format!("collaboration.stuck.{id}"), "{told}");
    let open: &Value = &told["input"]["open"][0];
    assert_eq!((&told["input"]["coordinator"], &open["agent"]), (&json!("lead"), &json!("critic")), "{told}");
    node.post("/v1/agents/lead/resume", &json!({})).await.expect(200);
    assert_eq!(run_is(&node, &id, "failed").await["error"]["code"], "timed_out");
    assert!(node.stop().await.success());
}
