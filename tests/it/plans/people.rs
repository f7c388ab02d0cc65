//! Who has a say in a run, and what is asked before anything is paid (R4.6).

use kit::{model::Reply, node::Node, wait};
use serde_json::{Value, json};

use super::ground::{begin, lead, others, play, questions, run_is, say};
use crate::{
    cast::{SOON, agent, scripted},
    stand::{Stand, on_both},
};

on_both! {
    what_is_missing_is_asked_about_before_anything_is_paid
    only_who_may_allows_a_plan_and_is_told_what_comes
    a_question_that_nobody_answers_goes_on_to_others
}

async fn what_is_missing_is_asked_about_before_anything_is_paid(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    others(home, model);
    let steps = "  plan:\n    steps:\n    \
        - {agent: scout, task: Find facts, output: $facts}\n    \
        - {agent: critic, task: Judge it, inputs: [$facts], output: $word}\n";
    home.agent("lead", &lead(model, steps));
    // Its judge has a tool server that is down, and nobody is asked.
    let strict = lead(model, &format!("  when_not_ready: fail\n{steps}")).replace("name: lead", "name: strict");
    home.agent("strict", &strict.replace("writer, critic]", "judge]").replace("agent: critic", "agent: judge"));
    home.agent("judge", &agent("judge", model, "tools: [{mcp: {command: /nowhere/files, start_timeout: 1s}}]"));
    model.rule(play);
    let node = stand.launch().start().await;
    node.post("/v1/agents/critic/pause", &json!({})).await.expect(200);
    let id = begin(&node, json!({ "agent": "lead", "task": "Judge" })).await;
    let question = questions(&node, 1).await.remove(0);
    let guidance = question["user_guidance"].as_str().unwrap_or_default();
    assert!(guidance.contains("critic is paused"), "{guidance}");
    run_is(&node, &id, "waiting").await;
    node.kill9().await;

    let node = stand.launch().start().await;
    // It is looked again, and found the same.
    say(&node, &question, json!("look again")).await;
    let again = wait::seen("the next question", SOON, async || {
        let open = node.get("/v1/clarifications?status=open").await.expect(200).json["items"][0].clone();
        if open.is_null() { Err(open) } else { Ok(open) }
    })
    .await;
    assert_ne!(again["clarification_id"], question["clarification_id"]);
    assert_eq!(model.calls(), 0, "nothing was paid");
    node.post("/v1/agents/critic/resume", &json!({})).await.expect(200);
    say(&node, &again, json!("look again")).await;
    let run = run_is(&node, &id, "succeeded").await;
    assert_eq!((&run["output"], model.calls()), (&json!("[Judge: [Find: Find facts]]"), 2), "{run}");

    let id = begin(&node, json!({ "agent": "strict", "task": "Judge" })).await;
    let run = run_is(&node, &id, "failed").await;
    assert_eq!((&run["error"]["code"], model.calls()), (&json!("not_ready"), 2), "{run}");
    assert!(run["error"]["message"].as_str().unwrap_or_default().contains("files"), "{run}");
    assert!(node.stop().await.success());
}

async fn only_who_may_allows_a_plan_and_is_told_what_comes(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    others(home, model);
    let steps = "  when_not_ready: go_on\n  approve: always\n  plan:\n    steps:\n    \
        - {agent: scout, task: Find facts, output: $facts}\n    \
        - {agent: critic, task: Judge it, output: $word, condition: $facts == \"none\"}\n";
    home.agent("lead", &lead(model, steps));
    let files = "tools: [{mcp: {command: /nowhere/files, start_timeout: 1s, confirm: [delete_file]}}]";
    home.agent("critic", &agent("critic", model, files));
    model.rule(play);
    let node = stand.launch().start().await;
    let id = begin(&node, json!({ "agent": "lead", "task": "Find", "approvers": ["Ann"] })).await;
    let run = run_is(&node, &id, "awaiting_approval").await;
    let question = &run["questions"][0];
    assert_eq!(question["approvers"], json!(["Ann"]), "{question}");
    assert!(question["user_guidance"].as_str().unwrap_or_default().contains("delete_file (by critic)"), "{question}");
    let refused = node.post(&format!("/v1/plans/{id}/approve"), &json!({ "by": "bob" })).await.expect(403);
    assert!(refused.text.contains("bob may not answer this question; Ann may"), "{}", refused.text);
    let told = stand.launch().run(&["plans", "approve", &id, "--by", "bob"]).await;
    assert!(told.code != Some(0) && told.all().contains("may not answer"), "{}", told.all());
    node.post(&format!("/v1/plans/{id}/approve"), &json!({ "by": "ann" })).await.expect(200);
    run_is(&node, &id, "succeeded").await;
    assert!(node.stop().await.success());
}

async fn a_question_that_nobody_answers_goes_on_to_others(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    others(home, model);
    let rules =
        "clarifications: {approvers: [ann], expires: 1s, on_expiry: escalate, escalate: {to: [boss], within: 1h}}";
    home.agent("critic", &agent("critic", model, &format!("tools: [{{builtin: ask_human}}]\n{rules}")));
    home.agent("lead", &lead(model, "  plan: {steps: [{agent: critic, task: Judge it, output: $word}]}\n"));
    let topics = "subscriptions: [\"greenroom.clarification.escalated.#\"]";
    home.agent("ear", &scripted("ear", "[{reply: heard}]", topics));
    model.rule(|asked| match asked.turn() {
        0 => Reply::tool("ask_human", json!({ "question": "Good?" })),
        _ => Reply::text(format!("They say {}", asked.tool_results().concat())),
    });
    let node = stand.launch().start().await;
    let id = begin(&node, json!({ "agent": "lead", "task": "Judge" })).await;
    let question = is_escalated(&node).await;
    assert_eq!((&question["approvers"], &question["status"]), (&json!(["ann", "boss"]), &json!("open")), "{question}");
    node.kill9().await;

    let node = stand.launch().start().await;
    let path = format!("/v1/clarifications/{}/answer", question["clarification_id"].as_str().unwrap_or_default());
    node.post(&path, &json!({ "answer": "no", "by": "eve" })).await.expect(403);
    node.post(&path, &json!({ "answer": "yes", "by": "boss" })).await.expect(200);
    let run = run_is(&node, &id, "succeeded").await;
    assert_eq!(run["output"], "They say yes", "{run}");
    let heard = wait::seen("it to be told", SOON, async || {
        let heard = node.executions("ear").await;
        if heard.len() == 1 { Ok(heard[0].clone()) } else { Err(json!(heard)) }
    })
    .await;
    assert_eq!(heard["event_type"], "greenroom.clarification.escalated.critic", "{heard}");
    assert!(node.stop().await.success());
}

async fn is_escalated(node: &Node) -> Value {
    wait::seen("the question to go on to others", SOON, async || {
        let open = node.get("/v1/clarifications?status=open").await.expect(200).json["items"][0].clone();
        if open["escalated"] == true { Ok(open) } else { Err(open) }
    })
    .await
}
