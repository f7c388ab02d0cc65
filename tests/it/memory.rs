//! What an agent keeps in mind: over its executions and the node's death, for itself alone, and only when its work succeeds.

use serde_json::json;

use kit::{
    model::{ModelServer, Reply},
    node::Home,
};

use crate::cast::{SOON, agent};

#[tokio::test]
async fn an_agent_remembers_over_the_node_s_death_and_tells_no_other() {
    let (model, home) = (ModelServer::start().await, Home::new());
    let tools = "limits: {max_attempts: 1}\ntools: [{builtin: remember}, {builtin: recall}]";
    for name in ["ada", "bob"] {
        home.agent(name, &agent(name, &model, tools));
    }
    model.rule(|asked| match (asked.question().as_str(), asked.turn()) {
        ("learn", 0) => Reply::tool("remember", json!({"key": "city", "text": "Oslo"})),
        // What was said a moment ago is known at once.
        ("learn", 1) => Reply::tool("recall", json!({"query": "city"})),
        ("learn then fail", 0) => Reply::tool("remember", json!({"key": "city", "text": "Rome"})),
        ("learn then fail", _) => Reply::status(400, "no"),
        ("tell", 0) => Reply::tool("recall", json!({})),
        _ => Reply::text(asked.tool_results().join("\n")),
    });
    let node = home.launch().start().await;
    let learnt = node.ask("ada", "learn").await.expect(200);
    assert!(learnt.json["output"].as_str().is_some_and(|told| told.contains("): Oslo")), "{}", learnt.text);
    let failed = node.submit("ada", "learn then fail").await;
    node.execution_is(&failed, &["failed", "dead"], SOON).await;
    node.kill9().await;

    let node = home.launch().start().await;
    let told = node.ask("ada", "tell").await.expect(200);
    assert!(told.json["output"].as_str().is_some_and(|told| told.starts_with("city (since ")), "{}", told.text);
    assert!(told.text.contains("Oslo") && !told.text.contains("Rome"), "{}", told.text);
    let other = node.ask("bob", "tell").await.expect(200);
    assert_eq!(other.json["output"], "nothing is kept in mind");
    node.stop().await;
}

/// What a continuous agent remembers under a pinned key stands in every later request, whatever falls out of its view.
#[tokio::test]
async fn what_is_pinned_among_memories_is_always_in_view() {
    let (model, home) = (ModelServer::start().await, Home::new());
    let file = agent(
        "ada",
        &model,
        "limits: {history: 2}\nconversation: {pinned_memories: [\"profile/*\"]}\ntools: [{builtin: remember}]",
    );
    home.agent("ada", &file.replace("autonomous", "continuous"));
    model.rule(|asked| {
        let last = asked.body["messages"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
        match (asked.question().as_str(), last["role"] == "user") {
            ("learn", true) => Reply::tool("remember", json!({"key": "profile/city", "text": "Oslo"})),
            ("learn more", true) => Reply::tool("remember", json!({"key": "other", "text": "Rome"})),
            _ => Reply::text(asked.body["messages"][0].to_string()),
        }
    });
    let node = home.launch().start().await;
    for question in ["learn", "learn more", "one", "two"] {
        node.ask("ada", question).await.expect(200);
    }
    let told = node.ask("ada", "three").await.expect(200);
    let prompt = told.json["output"].as_str().unwrap_or_default();
    assert!(prompt.contains("# Always in mind\\n- profile/city: Oslo") && !prompt.contains("Rome"), "{prompt}");
    node.stop().await;
}
