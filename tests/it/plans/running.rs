//! How steps run (R4.2, R4.3, R4.5).

use kit::{
    model::{Gate, Reply},
    wait,
};
use serde_json::{Value, json};

use super::ground::{begin, lead, others, play, questions, run_is, say};
use crate::{
    cast::{SOON, scripted},
    stand::{Stand, on_both},
};

on_both! {
    steps_run_in_order_and_each_sees_what_it_is_given
    branches_run_side_by_side_and_everything_goes_on_over_a_restart
    a_failed_step_is_treated_as_the_plan_says
    conditions_choose_and_a_model_judges_sentences
    results_are_put_together_and_told
}

async fn steps_run_in_order_and_each_sees_what_it_is_given(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    others(home, model);
    let plan = "  plan:\n    inputs: [{name: $topic, value: actors}]\n    steps:\n    \
        - {agent: scout, task: Find facts, inputs: [$topic], output: $facts}\n    \
        - {agent: writer, task: Write a text, role: editor, inputs: [$facts], output: $text}\n    \
        - {agent: critic, task: Judge the text, inputs: [$text], output: $verdict}\n";
    home.agent("lead", &lead(model, plan));
    model.rule(play);
    let node = stand.launch().start().await;
    let id = node.submit("lead", "Tell me about actors").await;
    let ended = node.execution_is(&id, &["succeeded"], SOON).await;
    assert_eq!(ended["output"], "[Judge: [Write: [Find: actors]]]", "{ended}");
    let asked: Vec<String> = model.asked().iter().map(|asked| asked.question()).collect();
    assert_eq!(asked[1], "Write a text\n\nYou do this as: editor.\n\n$facts:\n[Find: actors]");
    assert_eq!(asked.len(), 3, "{asked:?}");
    let kinds: Vec<_> = ended["steps"].as_array().into_iter().flatten().map(|step| step["kind"].clone()).collect();
    assert_eq!(kinds, ["note", "agent", "note", "agent", "note", "agent", "note"]);
    let run = run_is(&node, &id, "succeeded").await;
    assert_eq!((&run["output"], &run["task"]), (&ended["output"], &json!("Tell me about actors")));
    let outputs: Vec<_> = run["steps"].as_array().into_iter().flatten().map(|step| step["output"].clone()).collect();
    assert_eq!(outputs, ["[Find: actors]", "[Write: [Find: actors]]", "[Judge: [Write: [Find: actors]]]"]);
    let shown = stand.launch().run(&["plans", "show", &id]).await.ok();
    assert!(shown.stdout.contains("✓ 2 writer") && shown.stdout.contains("→ $text = [Write"), "{}", shown.stdout);
    let listed = stand.launch().run(&["plans"]).await.ok();
    assert!(listed.stdout.contains(&id) && listed.stdout.contains("3/3"), "{}", listed.stdout);
    assert!(node.stop().await.success());
}

async fn branches_run_side_by_side_and_everything_goes_on_over_a_restart(stand: Stand) {
    let (home, model, gate) = (&stand.home, &stand.model, Gate::closed());
    others(home, model);
    let plan = "  plan:\n    steps:\n    \
        - {agent: scout, task: Find left, output: $left, depends_on: []}\n    \
        - {agent: writer, task: Find right, output: $right, depends_on: []}\n    \
        - {agent: critic, task: Judge both, inputs: [$left, $right], output: $verdict}\n";
    home.agent("lead", &lead(model, plan));
    let held = gate.clone();
    model.rule(move |asked| if asked.question() == "Find left" { play(asked).held_by(&held) } else { play(asked) });
    let node = stand.launch().start().await;
    let id = node.submit("lead", "Compare").await;
    wait::until("both to be asked", SOON, async || model.calls() == 2).await;
    // The second branch ends first.
    let run = wait::seen("the right branch to end", SOON, async || {
        let run = node.get(&format!("/v1/plans/{id}")).await.expect(200).json;
        if run["steps"][1]["status"] == "succeeded" { Ok(run) } else { Err(run) }
    })
    .await;
    assert_eq!((&run["steps"][0]["status"], &run["steps"][2]["status"]), (&json!("running"), &json!("pending")));
    node.kill9().await;

    let node = stand.launch().start().await;
    gate.open();
    let run = run_is(&node, &id, "succeeded").await;
    assert_eq!(run["output"], "[Judge: [Find: Find right]]", "{run}");
    assert_eq!(run["steps"][1]["tries"], 1, "what had ended was not done again");
    for agent in ["scout", "writer", "critic"] {
        assert_eq!(node.executions(agent).await.len(), 1, "{agent} was asked once");
    }
    assert_eq!(model.calls(), 4, "three, and the one that was in flight once more");
    assert!(node.stop().await.success());
}

async fn a_failed_step_is_treated_as_the_plan_says(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    others(home, model);
    home.agent("lead", &lead(model, ""));
    model.rule(|asked| match asked.question().as_str() {
        "Break" => Reply::status(400, "it broke"),
        _ => play(asked),
    });
    let node = stand.launch().start().await;
    let plan = |policy: &str| {
        json!({ "steps": [
            { "agent": "scout", "task": "Break", "output": "$a", "on_failure": policy },
            { "agent": "writer", "task": "Write on", "output": "$b", "inputs": ["$a"] },
        ]})
    };
    let id = begin(&node, json!({ "agent": "lead", "task": "Try", "plan": plan("skip") })).await;
    let run = run_is(&node, &id, "succeeded").await;
    assert_eq!((&run["steps"][0]["status"], &run["output"]), (&json!("skipped"), &json!("[Write: there is none]")));

    let id = begin(&node, json!({ "agent": "lead", "task": "Try", "plan": plan("retry") })).await;
    let run = run_is(&node, &id, "failed").await;
    assert_eq!((&run["steps"][0]["tries"], &run["steps"][1]["status"]), (&json!(2), &json!("pending")), "{run}");
    let why = run["error"]["message"].as_str().unwrap_or_default();
    assert!(why.starts_with("step 1 ($a, by scout) failed"), "{why}");
    let ended = node.execution(&id).await;
    assert_eq!((&ended["status"], &ended["attempt"]), (&json!("failed"), &json!(1)), "a run is not begun anew");

    let id = begin(&node, json!({ "agent": "lead", "task": "Try", "plan": plan("ask") })).await;
    run_is(&node, &id, "waiting").await;
    let question = questions(&node, 1).await.remove(0);
    assert_eq!(question["options"], json!(["retry", "skip", "fail"]), "{question}");
    say(&node, &question, json!("skip")).await;
    assert_eq!(run_is(&node, &id, "succeeded").await["output"], "[Write: there is none]");
    assert!(node.stop().await.success());
}

async fn conditions_choose_and_a_model_judges_sentences(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    others(home, model);
    let plan = "  plan:\n    steps:\n    \
        - {agent: scout, task: Score it, output: $score}\n    \
        - {agent: writer, task: Write long, output: $text, condition: $score >= 7}\n    \
        - {agent: writer, task: Write short, output: $text, condition: $score < 7}\n    \
        - {agent: critic, task: Judge it, inputs: [$text], output: $verdict, condition: \"the text in $text is long\"}\n";
    home.agent("lead", &lead(model, plan));
    model.rule(|asked| match asked.question() {
        question if question == "Score it" => Reply::text("9"),
        question if question.contains("is long") => {
            let long = question.contains("Write: Write long");
            Reply::text(json!({ "decision": if long { "CONTINUE" } else { "SKIP" }, "reason": "so it is" }).to_string())
        }
        _ => play(asked),
    });
    let node = stand.launch().start().await;
    let id = node.submit("lead", "Go").await;
    let run = run_is(&node, &id, "succeeded").await;
    let statuses: Vec<_> = run["steps"].as_array().into_iter().flatten().map(|step| step["status"].clone()).collect();
    assert_eq!(statuses, ["succeeded", "succeeded", "skipped", "succeeded"], "{run}");
    assert_eq!(run["output"], "[Judge: [Write: Write long]]");
    assert!(node.stop().await.success());
}

async fn results_are_put_together_and_told(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    others(home, model);
    let plan = "  plan:\n    steps:\n    \
        - {agent: scout, task: Find facts, output: $facts}\n    \
        - {agent: writer, task: Break, output: $text, condition: $facts == \"none\"}\n";
    home.agent("lead", &lead(model, &format!("{plan}  template: \"Facts: $facts; text: $text\"\n")));
    home.agent("head", &lead(model, &format!("{plan}  result: model\n")).replace("name: lead", "name: head"));
    home.agent("ear", &scripted("ear", "[{reply: heard}]", "subscriptions: [\"collaboration.#\"]"));
    model.rule(|asked| match asked.question() {
        question if question.contains("\"found\"") => Reply::text("The sum of it"),
        _ => play(asked),
    });
    let node = stand.launch().start().await;
    let id = node.submit("lead", "Go").await;
    assert_eq!(run_is(&node, &id, "succeeded").await["output"], "Facts: [Find: Find facts]; text: ");
    let other = node.submit("head", "Go").await;
    assert_eq!(run_is(&node, &other, "succeeded").await["output"], "The sum of it");
    let expected = ["completed", "step.running", "step.skipped", "step.succeeded"];
    let heard = wait::seen("everything to be told", SOON, async || {
        let heard = node.executions("ear").await;
        let topic = |one: &Value| one["event_type"].as_str().unwrap_or_default().to_owned();
        let mut topics: Vec<String> = heard.iter().map(topic).filter(|topic| topic.ends_with(&id)).collect();
        topics.sort();
        if topics.len() >= expected.len() { Ok(topics) } else { Err(json!(topics)) }
    })
    .await;
    assert_eq!(heard, expected.map(|what| format!("collaboration.{what}.{id}")), "each once");
    assert!(node.stop().await.success());
}
