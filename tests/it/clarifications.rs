//! Questions to people: an execution waits without holding anything, and goes on with the answer, on both backends.

use kit::{http::Answer, model::Reply, node::Node, wait};
use serde_json::{Value, json};

use crate::{
    cast::{SOON, agent},
    stand::{Stand, on_both},
};

on_both! {
    a_question_outlives_the_node_and_is_answered_once
    questions_of_one_moment_are_answered_each_for_itself
    nobody_answers_in_time_and_the_model_is_told
    a_call_that_broke_off_is_decided_by_a_person
    a_spent_budget_is_raised_by_a_person_or_not
    a_waiting_execution_is_cancelled_with_its_questions
    a_call_is_made_when_a_person_has_allowed_it_and_as_it_was_shown
    an_allowed_call_that_broke_off_is_not_made_again
}

/// The open questions, once there are so many.
async fn questions(node: &Node, number: usize) -> Vec<Value> {
    wait::seen(&format!("{number} open questions"), SOON, async || {
        let list = node.get("/v1/clarifications?status=open").await.expect(200).json;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        if items.len() == number { Ok(items) } else { Err(list) }
    })
    .await
}

async fn say(node: &Node, question: &Value, answer: Value) -> Answer {
    let id = question["clarification_id"].as_str().unwrap_or_default();
    node.post(&format!("/v1/clarifications/{id}/answer"), &json!({ "answer": answer, "by": "ann" })).await
}

async fn a_question_outlives_the_node_and_is_answered_once(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    home.agent("clerk", &agent("clerk", model, "tools: [{builtin: ask_human}, {builtin: emit_event}]"));
    let heard = "name: ear\nagent_type: test\nexecution_mode: autonomous\n\
                 llm_config: {provider: scripted, script: [{reply: heard}]}\n\
                 subscriptions: [\"greenroom.clarification.#\"]\n";
    home.agent("ear", heard);
    model.rule(|asked| match asked.turn() {
        0 => Reply::tool("ask_human", json!({ "question": "Ship it?", "options": ["Ship", "Wait"] })),
        _ => Reply::text(format!("You said: {}", asked.tool_results().join(", "))),
    });
    let node = stand.launch().start().await;
    // Whoever waits for the answer is told that the agent waits for theirs.
    let told = stand.launch().run(&["invoke", "clerk", "Go"]).await;
    assert_eq!(told.code, Some(6), "{}", told.all());
    let question = questions(&node, 1).await.remove(0);
    let id = question["clarification_id"].as_str().unwrap_or_default();
    assert!(told.stderr.contains("? Ship it?") && told.stderr.contains(id), "{}", told.stderr);
    let execution = question["execution_id"].as_str().unwrap_or_default().to_owned();
    node.execution_is(&execution, &["waiting"], SOON).await;
    node.agent_is("clerk", &["idle"], SOON).await;
    node.kill9().await;

    let node = stand.launch().start().await;
    let listed = stand.launch().run(&["answer"]).await.ok();
    assert!(listed.stdout.contains(id) && listed.stdout.contains("\"Ship\" | \"Wait\""), "{}", listed.stdout);
    let wrong = stand.launch().run(&["answer", id, "perhaps"]).await.refused();
    assert!(wrong.stderr.contains("one of: Ship, Wait"), "{}", wrong.stderr);
    stand.launch().run(&["answer", id, "ship", "--by", "bob"]).await.ok();
    let late = say(&node, &question, json!("Wait")).await.expect(409);
    assert!(late.text.contains("bob has answered already"), "{}", late.text);
    let ended = node.execution_is(&execution, &["succeeded"], SOON).await;
    assert_eq!(ended["output"], "You said: Ship", "{ended}");
    assert_eq!((&ended["attempt"], &ended["crashes"]), (&json!(1), &json!(0)), "waiting is no failure");
    assert_eq!(model.calls(), 2, "the call before the question was not made again");
    let answered = node.get(&format!("/v1/clarifications/{id}")).await.expect(200).json;
    assert_eq!((&answered["status"], &answered["answered_by"]), (&json!("answered"), &json!("bob")));
    // Who listens heard of the question and of the answer.
    wait::seen("both to be told", SOON, async || {
        let heard = node.executions("ear").await;
        let topics: Vec<_> = heard.iter().map(|one| one["event_type"].as_str().unwrap_or_default()).collect();
        let both = ["asked", "answered"].map(|what| format!("greenroom.clarification.{what}.clerk"));
        if both.iter().all(|topic| topics.contains(&topic.as_str())) && topics.len() == 2 {
            Ok(())
        } else {
            Err(json!(heard))
        }
    })
    .await;
    assert!(node.stop().await.success());
}

async fn questions_of_one_moment_are_answered_each_for_itself(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    let tools = format!("tools:\n  - builtin: ask_human\n{}", home.mcp_tool("idempotent"));
    home.agent("clerk", &agent("clerk", model, &tools));
    model.rule(|asked| match asked.turn() {
        0 => Reply::tools(&[
            ("ask_human", json!({ "question": "Which colour?" })),
            ("lookup_ticket", json!({ "id": "7" })),
            ("ask_human", json!({ "question": "Paint now?", "yes_no": true })),
        ]),
        _ => Reply::text(asked.tool_results().join(" | ")),
    });
    let node = stand.launch().start().await;
    let id = node.submit("clerk", "Paint").await;
    let asked = questions(&node, 2).await;
    let find = |text: &str| asked.iter().find(|one| one["user_guidance"] == text).cloned().unwrap_or_default();
    say(&node, &find("Paint now?"), json!("yes")).await.expect(200);
    node.execution_is(&id, &["waiting"], SOON).await;
    say(&node, &find("Which colour?"), json!("blue")).await.expect(200);
    let ended = node.execution_is(&id, &["succeeded"], SOON).await;
    assert_eq!(ended["output"], "blue | ticket 7 is open | yes");
    assert_eq!(home.tool_calls().len(), 1, "the tool beside the questions was called once");
    assert!(node.stop().await.success());
}

async fn nobody_answers_in_time_and_the_model_is_told(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    home.agent("clerk", &agent("clerk", model, "tools: [{builtin: ask_human, answer_within: 1s}]"));
    model.rule(|asked| match asked.turn() {
        0 => Reply::tool("ask_human", json!({ "question": "Anybody?" })),
        _ => Reply::text(asked.tool_results().join(", ")),
    });
    let node = stand.launch().start().await;
    let id = node.submit("clerk", "Ask").await;
    let ended = node.execution_is(&id, &["succeeded"], SOON).await;
    assert_eq!(ended["output"], "Error: nobody answered in time");
    let list = node.get("/v1/clarifications?agent=clerk").await.expect(200).json;
    assert_eq!(list["items"][0]["status"], "expired");
    say(&node, &list["items"][0], json!("me")).await.expect(409);
    assert!(node.stop().await.success());
}

async fn a_call_that_broke_off_is_decided_by_a_person(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    let opens = home.path().join("the-tool-may-answer");
    let wish = opens.display().to_string();
    let tools = format!("tools:\n{}", home.mcp_tool("at_most_once"));
    home.agent("clerk", &agent("clerk", model, &tools));
    model.rule(move |asked| match asked.turn() {
        0 => Reply::tool("slow", json!({ "until": wish })),
        _ => Reply::text(asked.tool_results().join(", ")),
    });
    let mut node = stand.launch().start().await;
    let mut calls = 0;
    for (answer, output, made) in [
        ("done", "It was done, a person says; what it returned is not known.", 1),
        ("not done", "Error: It was not done, a person says, and shall not be.", 1),
        ("call again", "at last", 2),
    ] {
        std::fs::remove_file(&opens).ok();
        let id = node.submit("clerk", answer).await;
        wait::until("the tool to be called", SOON, async || home.tool_calls().len() == calls + 1).await;
        node.kill9().await;
        node = stand.launch().start().await;
        let question = questions(&node, 1).await.remove(0);
        assert_eq!((&question["purpose"], &question["execution_id"]), (&json!("outcome_unknown"), &json!(id)));
        let waiting = node.execution_is(&id, &["waiting"], SOON).await;
        assert_eq!(waiting["steps"][1]["status"], "unknown", "{waiting}");
        assert_eq!(home.tool_calls().len(), calls + 1, "nobody has called it again");
        std::fs::write(&opens, "").unwrap_or_else(|error| panic!("{error}"));
        say(&node, &question, json!(answer)).await.expect(200);
        let ended = node.execution_is(&id, &["succeeded"], SOON).await;
        assert_eq!(ended["output"], output, "{answer}: {ended}");
        calls += made;
        assert_eq!(home.tool_calls().len(), calls, "{answer}");
    }
    assert!(node.stop().await.success());
}

async fn a_spent_budget_is_raised_by_a_person_or_not(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    // A call can cost a little over 1000 output tokens of 10 dollars a million: a cent. The budget is for one and a half.
    let yaml = format!(
        "name: clerk\nagent_type: test\nexecution_mode: autonomous\n\
         llm_config: {{provider: openai-compatible, model: kit-model, base_url: \"{}\", max_tokens: 1000, \
             price: {{input: 0.1, output: 10}}}}\n\
         limits: {{budget_usd: {{per_execution: 0.015, when_spent: ask}}}}\ntools: [{{builtin: current_time}}]\n",
        model.url()
    );
    home.agent("clerk", &yaml);
    model.rule(|asked| match asked.turn() {
        0 => Reply::tool("current_time", json!({})).tokens(10, 900),
        1 => Reply::text("late").tokens(10, 900),
        _ => Reply::status(400, "no third call is wanted"),
    });
    let node = stand.launch().start().await;
    for (answer, status) in [("yes", "succeeded"), ("no", "failed")] {
        let id = node.submit("clerk", "What time is it?").await;
        let question = questions(&node, 1).await.remove(0);
        let guidance = question["user_guidance"].as_str().unwrap_or_default();
        assert!(guidance.contains("per_execution") && guidance.contains("$0.015"), "{guidance}");
        assert_eq!(question["purpose"], "budget");
        say(&node, &question, json!(answer)).await.expect(200);
        let ended = node.execution_is(&id, &[status], SOON).await;
        if status == "failed" {
            assert_eq!(ended["error"]["code"], "budget_exhausted", "{ended}");
        }
    }
    assert_eq!(model.calls(), 3, "two calls and one");
    // 10 tokens at 0.1 and 900 at 10 dollars a million, three times.
    let spent = node.get("/v1/usage").await.expect(200).json;
    assert_eq!((&spent["total_usd"], &spent["items"][0]["calls"]), (&json!(0.027003), &json!(3)), "{spent}");
    let told = stand.launch().run(&["usage"]).await.ok();
    assert!(told.stdout.contains("clerk") && told.stdout.contains("$0.027003"), "{}", told.all());
    assert!(node.stop().await.success());
}

async fn a_call_is_made_when_a_person_has_allowed_it_and_as_it_was_shown(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    let tool = home.mcp_tool("at_most_once").replacen("mcp: {", "mcp: {confirm: [\"char*\"], ", 1);
    home.agent("clerk", &agent("clerk", model, &format!("tools:\n{tool}")));
    model.rule(|asked| match asked.turn() {
        0 => Reply::tools(&[
            ("lookup_ticket", json!({ "id": "7" })),
            ("charge", json!({ "amount": 7 })),
            ("charge", json!({ "amount": 8 })),
        ]),
        _ => Reply::text(asked.tool_results().join(" | ")),
    });
    let mut node = stand.launch().start().await;
    let id = node.submit("clerk", "Charge").await;
    for (amount, answer) in [("\"amount\": 7", "yes"), ("\"amount\": 8", "no")] {
        let question = questions(&node, 1).await.remove(0);
        let guidance = question["user_guidance"].as_str().unwrap_or_default();
        assert!(guidance.contains("clerk call the tool charge") && guidance.contains(amount), "{guidance}");
        assert_eq!((&question["purpose"], &question["category"]), (&json!("approval"), &json!("user_verification")));
        let charged = home.tool_calls().iter().filter(|call| call.starts_with("charge")).count();
        assert_eq!(charged, usize::from(answer == "no"), "nothing is charged before it is allowed");
        node.kill9().await;
        node = stand.launch().start().await;
        say(&node, &question, json!(answer)).await.expect(200);
    }
    let ended = node.execution_is(&id, &["succeeded"], SOON).await;
    let told = "ticket 7 is open | charged 7 | Error: a person was asked, and refused this call";
    assert_eq!(ended["output"], told, "{ended}");
    assert_eq!(home.tool_calls(), [r#"lookup_ticket {"id":"7"}"#, r#"charge {"amount":7}"#]);
    assert!(node.stop().await.success());
}

async fn an_allowed_call_that_broke_off_is_not_made_again(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    let never = home.path().join("never").display().to_string();
    let tool = home.mcp_tool("at_most_once").replacen("mcp: {", "mcp: {confirm: [slow], ", 1);
    home.agent("clerk", &agent("clerk", model, &format!("tools:\n{tool}")));
    model.rule(move |asked| match asked.turn() {
        0 => Reply::tool("slow", json!({ "until": never })),
        _ => Reply::text(asked.tool_results().join(", ")),
    });
    let node = stand.launch().start().await;
    let id = node.submit("clerk", "Do it").await;
    say(&node, &questions(&node, 1).await[0], json!(true)).await.expect(200);
    wait::until("the tool to be called", SOON, async || home.tool_calls().len() == 1).await;
    node.kill9().await;
    let node = stand.launch().start().await;
    let question = questions(&node, 1).await.remove(0);
    assert_eq!((&question["purpose"], &question["execution_id"]), (&json!("outcome_unknown"), &json!(id)));
    say(&node, &question, json!("done")).await.expect(200);
    node.execution_is(&id, &["succeeded"], SOON).await;
    assert_eq!(home.tool_calls().len(), 1);
    assert!(node.stop().await.success());
}

async fn a_waiting_execution_is_cancelled_with_its_questions(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    home.agent("clerk", &agent("clerk", model, "tools: [{builtin: ask_human}]"));
    model.rule(|_| Reply::tool("ask_human", json!({ "question": "Well?" })));
    let node = stand.launch().start().await;
    let id = node.submit("clerk", "Ask").await;
    let question = questions(&node, 1).await.remove(0);
    node.post(&format!("/v1/executions/{id}/cancel"), &json!({})).await.expect(200);
    node.execution_is(&id, &["cancelled"], SOON).await;
    questions(&node, 0).await;
    let late = say(&node, &question, json!("well")).await.expect(409);
    assert!(late.text.contains("was cancelled"), "{}", late.text);
    assert!(node.stop().await.success());
}
