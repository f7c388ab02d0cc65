//! How plans are made (R4.1), and what people have to say (R4.4, R4.6).

use kit::{
    model::{Asked, Gate, Reply},
    wait,
};
use serde_json::{Value, json};

use super::ground::{begin, lead, others, play, questions, run_is};
use crate::{
    cast::{SOON, scripted},
    stand::{Stand, on_both},
};

on_both! {
    a_model_plans_and_is_told_what_is_wrong
    a_plan_that_stays_wrong_is_refused_with_the_reason
    a_plan_is_shown_and_allowed_before_it_runs
    a_question_in_a_step_outlives_everything_and_is_answered_from_the_command_line
    a_cancelled_run_takes_along_who_works_for_it
    a_run_goes_on_from_a_step_with_what_was_done_before
    a_run_ends_by_its_deadline_and_by_its_budget
    a_plan_of_portia_s_is_carried_out
}

fn is_planner(asked: &Asked) -> bool {
    asked.question().contains("errors_of_your_last_plan")
}

fn step(agent: &str, task: &str, inputs: &[&str], output: &str) -> Value {
    json!({ "task": task, "agent": agent, "role": null, "inputs": inputs, "output": output, "condition": null,
            "depends_on": null })
}

fn plan(steps: &[Value]) -> Reply {
    Reply::text(json!({ "steps": steps, "error": null }).to_string())
}

async fn a_model_plans_and_is_told_what_is_wrong(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    others(home, model);
    home.agent("lead", &lead(model, ""));
    model.rule(|asked| {
        if !is_planner(asked) {
            return play(asked);
        }
        // The first plan names an output that comes later.
        match asked.question().contains("which comes later") {
            false => plan(&[step("writer", "Write", &["$facts"], "$text"), step("scout", "Find", &[], "$facts")]),
            true => {
                plan(&[step("scout", "Find", &["$topic"], "$facts"), step("writer", "Write it", &["$facts"], "$text")])
            }
        }
    });
    let node = stand.launch().start().await;
    let id = begin(&node, json!({ "agent": "lead", "task": "Write about it", "inputs": { "topic": "actors" } })).await;
    let run = run_is(&node, &id, "succeeded").await;
    assert_eq!(run["output"], "[Write: [Find: actors]]", "{run}");
    assert_eq!(
        (&run["plan"]["steps"][0]["agent"], &run["plan"]["inputs"][0]["name"]),
        (&json!("scout"), &json!("$topic"))
    );
    let asked: Vec<String> = model.asked().iter().filter(|asked| is_planner(asked)).map(Asked::question).collect();
    assert_eq!(asked.len(), 2);
    for told in ["Write about it", "Looks things up", "ask_human", "$topic", "\"today\""] {
        assert!(asked[0].contains(told), "the planner is not told {told}: {}", asked[0]);
    }
    assert!(node.stop().await.success());
}

async fn a_plan_that_stays_wrong_is_refused_with_the_reason(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    others(home, model);
    home.agent("lead", &lead(model, ""));
    model.rule(|asked| match asked.question().contains("Do nothing") {
        true => Reply::text(json!({ "steps": [], "error": "there is nothing to do" }).to_string()),
        false => plan(&[step("scout", "Find", &["$nothing"], "$facts")]),
    });
    let node = stand.launch().start().await;
    let id = begin(&node, json!({ "agent": "lead", "task": "Find it" })).await;
    let run = run_is(&node, &id, "failed").await;
    assert_eq!(run["error"]["code"], "plan_refused", "{run}");
    let why = run["error"]["message"].as_str().unwrap_or_default();
    assert!(why.contains("3 plans had faults") && why.contains("$nothing is neither"), "{why}");
    assert_eq!(model.calls(), 3);
    let id = begin(&node, json!({ "agent": "lead", "task": "Do nothing" })).await;
    let why = run_is(&node, &id, "failed").await["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(why.contains("there is nothing to do"), "{why}");
    assert_eq!(model.calls(), 4, "who sees no way is not asked again");
    // What a person writes is looked at by the door.
    let wrong = json!({ "agent": "lead", "task": "Go", "plan": { "steps": [{ "agent": "eve", "task": "x", "output": "$a" }] } });
    let refused = node.post("/v1/tasks", &wrong).await.expect(422);
    assert!(refused.text.contains("eve is not one of the collaboration"), "{}", refused.text);
    node.post("/v1/tasks", &json!({ "agent": "scout", "task": "Go" })).await.expect(409);
    node.post("/v1/tasks", &json!({ "agent": "nobody", "task": "Go" })).await.expect(404);
    assert!(node.stop().await.success());
}

async fn a_plan_is_shown_and_allowed_before_it_runs(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    others(home, model);
    home.agent("lead", &lead(model, "  approve: always\n"));
    model.rule(|asked| match is_planner(asked) {
        true => plan(&[step("scout", "Find facts", &[], "$facts")]),
        false => play(asked),
    });
    let mut node = stand.launch().start().await;
    for (verb, status) in [(vec!["plans", "approve"], "succeeded"), (vec!["plans", "approve", "--no"], "cancelled")] {
        let id = begin(&node, json!({ "agent": "lead", "task": "Find it" })).await;
        let run = run_is(&node, &id, "awaiting_approval").await;
        let guidance = run["questions"][0]["user_guidance"].as_str().unwrap_or_default();
        assert!(guidance.contains("1. scout: Find facts → $facts"), "{guidance}");
        assert_eq!(node.executions("scout").await.len(), usize::from(status == "cancelled"), "nothing has begun");
        node.kill9().await;
        node = stand.launch().start().await;
        let other = json!({ "digest": "another" });
        let refused = node.post(&format!("/v1/plans/{id}/approve"), &other).await.expect(409);
        assert!(refused.text.contains("look at it again"), "{}", refused.text);
        let digest = run["digest"].as_str().unwrap_or_default();
        let line = [verb, vec![id.as_str(), "--digest", digest, "--by", "bob"]].concat();
        stand.launch().run(&line).await.ok();
        let run = run_is(&node, &id, status).await;
        assert_eq!(run["digest"], digest);
        node.post(&format!("/v1/plans/{id}/approve"), &json!({})).await.expect(409);
    }
    assert_eq!(node.executions("scout").await.len(), 1, "what was not allowed was not done");
    assert_eq!(model.calls(), 3, "two plans and one step");
    assert!(node.stop().await.success());
}

async fn a_question_in_a_step_outlives_everything_and_is_answered_from_the_command_line(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    others(home, model);
    let steps = "  plan:\n    steps:\n    \
        - {agent: scout, task: Find facts, output: $facts}\n    \
        - {agent: critic, task: Judge the facts, inputs: [$facts], output: $verdict}\n";
    home.agent("lead", &lead(model, steps));
    model.rule(|asked| match (asked.question().starts_with("Judge"), asked.turn()) {
        (true, 0) => Reply::tool("ask_human", json!({ "question": "Print it?", "options": ["Print", "Wait"] })),
        (true, _) => Reply::text(format!("They say {}", asked.tool_results().join(", "))),
        _ => play(asked),
    });
    let node = stand.launch().start().await;
    // Whoever waits is told that an answer is wanted, although the coordinator itself asks nothing.
    let told = stand.launch().run(&["plans", "start", "lead", "Judge it"]).await;
    assert_eq!(told.code, Some(6), "{}", told.all());
    assert!(told.stderr.contains("? Print it?"), "{}", told.all());
    let question = questions(&node, 1).await.remove(0);
    let run = node.get("/v1/plans?status=running").await.expect(200).json["items"][0].clone();
    let id = run["plan_run_id"].as_str().unwrap_or_default().to_owned();
    let shown = run_is(&node, &id, "waiting").await;
    assert_eq!(shown["questions"][0]["clarification_id"], question["clarification_id"], "{shown}");
    node.kill9().await;

    let node = stand.launch().start().await;
    let asked = question["clarification_id"].as_str().unwrap_or_default();
    stand.launch().run(&["answer", asked, "print", "--by", "bob"]).await.ok();
    let run = run_is(&node, &id, "succeeded").await;
    assert_eq!(run["output"], "They say Print", "{run}");
    assert_eq!(model.calls(), 3, "nothing was asked again");
    assert!(node.stop().await.success());
}

async fn a_cancelled_run_takes_along_who_works_for_it(stand: Stand) {
    let (home, model, gate) = (&stand.home, &stand.model, Gate::closed());
    others(home, model);
    home.agent("lead", &lead(model, "  plan: {steps: [{agent: scout, task: Find facts, output: $facts}]}\n"));
    home.agent("ear", &scripted("ear", "[{reply: heard}]", "subscriptions: [\"collaboration.failed.#\"]"));
    let held = gate.clone();
    model.rule(move |asked| play(asked).held_by(&held));
    let node = stand.launch().start().await;
    let id = begin(&node, json!({ "task": "Find it" })).await;
    wait::until("the scout to be at work", SOON, async || model.calls() == 1).await;
    let run = node.get(&format!("/v1/plans/{id}")).await.expect(200).json;
    let child = run["steps"][0]["execution_id"].as_str().unwrap_or_default().to_owned();
    let cancelled = node.post(&format!("/v1/plans/{id}/cancel"), &json!({})).await.expect(200).json;
    assert_eq!(cancelled["status"], "cancelled", "{cancelled}");
    node.execution_is(&child, &["cancelled"], SOON).await;
    node.post(&format!("/v1/plans/{id}/cancel"), &json!({})).await.expect(409);
    wait::until("it to be told", SOON, async || node.executions("ear").await.len() == 1).await;
    gate.open();
    assert!(node.stop().await.success());
}

async fn a_run_goes_on_from_a_step_with_what_was_done_before(stand: Stand) {
    let (home, model, gate) = (&stand.home, &stand.model, Gate::closed());
    others(home, model);
    let steps = "  plan:\n    steps:\n    \
        - {agent: scout, task: Find facts, output: $facts}\n    \
        - {agent: writer, task: Write it, inputs: [$facts], output: $text}\n    \
        - {agent: critic, task: Judge it, inputs: [$text], output: $verdict}\n";
    home.agent("lead", &lead(model, steps));
    let mended = gate.clone();
    model.rule(move |asked| match asked.question().starts_with("Write") && !mended.is_open() {
        true => Reply::status(400, "it broke"),
        false => play(asked),
    });
    let node = stand.launch().start().await;
    let first = node.submit("lead", "Go").await;
    run_is(&node, &first, "failed").await;
    gate.open();
    let told = stand.launch().run(&["plans", "retry", &first]).await.ok();
    let second = told.stdout.trim().to_owned();
    let run = run_is(&node, &second, "succeeded").await;
    assert_eq!((&run["fork_of"], &run["steps"][0]["kept"]), (&json!(first), &json!(true)), "{run}");
    assert_eq!(run["output"], "[Judge: [Write: [Find: Find facts]]]");
    assert_eq!(node.executions("scout").await.len(), 1, "what was done is kept");
    // From a step on, although all is done.
    let refused = node.post(&format!("/v1/plans/{second}/retry"), &json!({})).await.expect(409);
    assert!(refused.text.contains("every step has its output"), "{}", refused.text);
    let third = node.post(&format!("/v1/plans/{second}/retry"), &json!({ "from": "$verdict" })).await.expect(202).json;
    let run = run_is(&node, third["plan_run_id"].as_str().unwrap_or_default(), "succeeded").await;
    assert_eq!((&run["steps"][1]["kept"], &run["steps"][2]["kept"]), (&json!(true), &Value::Null), "{run}");
    assert_eq!((node.executions("writer").await.len(), node.executions("critic").await.len()), (2, 2));
    assert!(node.stop().await.success());
}

async fn a_run_ends_by_its_deadline_and_by_its_budget(stand: Stand) {
    let (home, model, gate) = (&stand.home, &stand.model, Gate::closed());
    let priced = "description: Looks things up\nlimits: {max_attempts: 1}";
    let scout = crate::cast::agent("scout", model, priced).replace("\"}", "\", price: {input: 10, output: 10}}");
    others(home, model);
    home.agent("scout", &scout);
    home.agent("lead", &lead(model, ""));
    let held = gate.clone();
    model.rule(move |asked| match asked.question().starts_with("Wait") {
        true => play(asked).held_by(&held),
        false => play(asked).tokens(1000, 0),
    });
    let node = stand.launch().start().await;
    let late = json!({ "steps": [{ "agent": "scout", "task": "Wait for it", "output": "$a" }] });
    let id = begin(&node, json!({ "task": "Try", "plan": late, "deadline": "2s" })).await;
    let run = run_is(&node, &id, "failed").await;
    assert_eq!(run["error"]["code"], "timed_out", "{run}");
    // 1000 tokens at 10 dollars a million are a cent.
    let dear = json!({ "steps": [
        { "agent": "scout", "task": "Find one", "output": "$a" }, { "agent": "scout", "task": "Find two", "output": "$b" },
    ]});
    let id = begin(&node, json!({ "task": "Try", "plan": dear, "max_cost_usd": 0.01 })).await;
    let run = run_is(&node, &id, "failed").await;
    assert_eq!((&run["error"]["code"], &run["cost_usd"]), (&json!("budget_exhausted"), &json!(0.01)), "{run}");
    assert_eq!(run["steps"][1]["status"], "pending");
    gate.open();
    assert!(node.stop().await.success());
}

async fn a_plan_of_portia_s_is_carried_out(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    others(home, model);
    home.agent("lead", &lead(model, ""));
    model.rule(play);
    let node = stand.launch().start().await;
    let plan = json!({
        "id": "plan-1",
        "plan_context": { "query": "Compare the weather", "tool_ids": ["weather"] },
        "steps": [
            { "task": "Find London", "inputs": [], "tool_id": "weather", "output": "$london", "condition": null },
            { "task": "Compare them", "inputs": [{ "name": "$london", "description": "" }], "tool_id": null, "output": "$verdict" },
        ],
        "plan_inputs": [],
    });
    let run = json!({ "id": "prun-1", "plan_id": "plan-1", "current_step_index": 0, "state": "IN_PROGRESS", "end_user_id": "u",
        "outputs": { "clarifications": [], "step_outputs": { "$london": { "value": "19 degrees", "summary": null } } } });
    let file = |name: &str, content: &Value| {
        let path = home.path().join(name);
        std::fs::write(&path, content.to_string()).unwrap_or_else(|error| panic!("{error}"));
        path.display().to_string()
    };
    let (plan, run) = (file("plan.json", &plan), file("run.json", &run));
    let line = ["plans", "import", &plan, "--run", &run, "--agent", "lead", "--steps-by", "scout"];
    let told = stand.launch().run(&line).await.ok();
    let run = run_is(&node, told.stdout.trim(), "succeeded").await;
    assert_eq!((&run["output"], &run["steps"][0]["kept"]), (&json!("[Compare: 19 degrees]"), &json!(true)), "{run}");
    assert_eq!(model.calls(), 1, "what Portia had done is kept");
    assert!(node.stop().await.success());
}
