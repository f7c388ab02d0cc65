//! A bad agent hurts only itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use kit::{
    model::{Gate, ModelServer, Reply},
    node::{Home, Node},
    wait,
};

use crate::cast::{SOON, agent, saying, scripted};

/// One attempt for each event, one failure for a restart, quick restarts: so that a story is short.
const QUICK: &str = "limits: {max_attempts: 1}\n\
    supervision: {failures_before_restart: 1, max_restarts: 2, backoff: {min: 10ms, max: 20ms}}";
/// The same with more restarts: an event that panics an instance comes back until it counts as poison.
const LENIENT: &str = "limits: {max_attempts: 1}\n\
    supervision: {failures_before_restart: 1, max_restarts: 6, backoff: {min: 10ms, max: 20ms}}";
const MOODS: &str =
    r#"[{when: boom, panic: "the kit made me panic"}, {when: fail, error: "the kit made me fail"}, {reply: "well"}]"#;

#[tokio::test]
async fn an_agent_that_panics_is_restarted_and_goes_on() {
    let home = Home::new();
    home.agent("moody", &scripted("moody", MOODS, LENIENT)).agent("calm", &saying("calm", "calm"));
    let node = home.launch().start().await;

    let answer = node.ask("moody", "boom").await;
    assert!(["failed", "dead"].contains(&answer.str("/status").as_str()), "{}", answer.text);
    assert!(!answer.str("/error/message").is_empty(), "{}", answer.text);

    wait::seen("the supervisor to have restarted it", SOON, async || {
        let places = node.places_of("moody").await;
        if places.iter().any(|place| place["restarts"].as_u64() >= Some(1)) { Ok(()) } else { Err(json!(places)) }
    })
    .await;
    let failures = failures(&node, "moody").await;
    assert!(failures.contains("panicked") && failures.contains("the kit made me panic"), "{failures}");
    assert!(failures.contains(&answer.str("/trace_id")), "the failure names its workflow: {failures}");

    assert_eq!(node.ask("moody", "how are you?").await.json["output"], "well");
    assert_eq!(node.agent("calm").await["restarts"], 0);
}

#[tokio::test]
async fn an_agent_that_always_fails_is_parked_with_its_cause_and_the_others_do_not_notice() {
    let home = Home::new();
    home.agent("wretch", &scripted("wretch", MOODS, QUICK)).agent("calm", &saying("calm", "calm"));
    let node = home.launch().start().await;
    let before = median_latency(&node).await;

    // Failing until it is parked, while the sibling is measured.
    let (during, ()) = tokio::join!(median_latency(&node), async {
        wait::seen("the wretch to be parked", SOON, async || {
            let agent = node.agent("wretch").await;
            if agent["status"] == "failed" {
                return Ok(());
            }
            let path = "/v1/agents/wretch/invoke?wait=5s";
            node.post(path, &json!({"input": "fail"})).await;
            Err(agent)
        })
        .await;
    });
    assert!(
        during < before * 3 + Duration::from_millis(500),
        "the sibling took {before:?} before and {during:?} during"
    );

    let parked = node.agent("wretch").await;
    assert!(parked["reason"].to_string().contains("the kit made me fail"), "the registry has the cause: {parked}");
    assert!(failures(&node, "wretch").await.contains("the kit made me fail"), "the tree has the cause");
    let text = node.get("/v1/tree?format=text").await.expect(200).text;
    assert!(text.lines().any(|line| line.contains("wretch") && line.contains("failed")), "{text}");
    assert!(text.contains("the kit made me fail"), "people see the cause too:\n{text}");

    // Parked is not deaf: its messages wait, and an operator lets it go on.
    let waiting = node.submit("wretch", "are you well?").await;
    assert_eq!(node.ask("calm", "hello").await.json["output"], "calm");
    assert_eq!(node.execution(&waiting).await["status"], "queued");
    node.post("/v1/agents/wretch/restart", &json!({})).await.expect(200);
    let execution = node.execution_is(&waiting, &["succeeded"], SOON).await;
    assert_eq!(execution["output"], "well");
}

#[tokio::test]
async fn an_agent_that_cannot_start_is_unavailable_with_its_reason_and_the_rest_start() {
    let home = Home::new();
    let missing = "tools:\n  - mcp: {command: /nowhere/no-such-server, start_timeout: 2s}";
    home.agent("toolless", &scripted("toolless", MOODS, missing)).agent("calm", &saying("calm", "calm"));
    home.agent(
        "keyless",
        "name: keyless\nagent_type: test\nexecution_mode: autonomous\n\
         llm_config: {provider: openai-compatible, model: m, base_url: \"http://127.0.0.1:9/v1\", api_key_env: NO_SUCH_KEY}\n",
    );
    let node = home.launch().start().await;
    assert_eq!(node.ask("calm", "hello").await.json["output"], "calm");
    let keyless = node.agent_is("keyless", &["unavailable"], SOON).await;
    assert!(keyless["reason"].to_string().contains("NO_SUCH_KEY"), "the reason names the variable: {keyless}");
    // A dead tool server degrades its tools, not the agent.
    let toolless = wait::seen("the registry to tell of the dead tool server", SOON, async || {
        let agent = node.agent("toolless").await;
        let told = agent.to_string().contains("no-such-server") && agent["status"] != "starting";
        if told { Ok(agent) } else { Err(agent) }
    })
    .await;
    if toolless["status"] != "unavailable" {
        assert_eq!(node.ask("toolless", "hello").await.json["output"], "well");
    }
}

#[tokio::test]
async fn a_paused_agent_holds_its_messages_until_it_is_resumed() {
    let home = Home::new();
    home.agent("calm", &saying("calm", "calm"));
    let node = home.launch().start().await;
    node.post("/v1/agents/calm/pause", &json!({})).await.expect(200);
    node.agent_is("calm", &["paused"], SOON).await;
    let id = node.submit("calm", "hello").await;
    node.post("/v1/agents/calm/resume", &json!({})).await.expect(200);
    node.execution_is(&id, &["succeeded"], SOON).await;
}

#[tokio::test]
async fn an_execution_over_its_time_is_ended_and_its_slot_is_free() {
    let (model, home, gate) = (ModelServer::start().await, Home::new(), Gate::closed());
    model.then(Reply::text("never").held_by(&gate)).then(Reply::text("next"));
    let limits = "concurrency: 1\nlimits: {timeout: 300ms, max_attempts: 1}";
    home.agent("late", &agent("late", &model, limits));
    let node = home.launch().start().await;
    let answer = node.ask("late", "hurry").await;
    assert_eq!(answer.str("/status"), "timed_out", "{}", answer.text);
    let next = node.ask("late", "again").await;
    assert_eq!(next.json["output"], "next", "{}", next.text);
}

#[tokio::test]
async fn a_model_that_falls_silent_is_given_up_while_a_slow_one_is_not() {
    let (model, home, gate) = (ModelServer::start().await, Home::new(), Gate::closed());
    model.then(Reply::text("slow but sure").after(Duration::from_millis(400)));
    home.agent("patient", &agent("patient", &model, "limits: {silence: 2s, max_attempts: 1}"));
    let node = home.launch().start().await;
    assert_eq!(node.ask("patient", "hm").await.json["output"], "slow but sure");
    model.rule(move |_| Reply::text("never").held_by(&gate));
    home.agent("brief", &agent("brief", &model, "limits: {silence: 200ms, max_attempts: 1}"));
    node.agent_is("brief", &["idle", "running"], SOON).await;
    let answer = node.ask("brief", "hm").await;
    assert!(["failed", "dead", "timed_out"].contains(&answer.str("/status").as_str()), "{}", answer.text);
}

#[tokio::test]
async fn an_agent_whose_tool_server_dies_gets_it_back() {
    let (model, home) = (ModelServer::start().await, Home::new());
    model.rule(|asked| match (asked.turn(), asked.question().contains("crash")) {
        (0, true) => Reply::tool("crash", json!({})),
        (0, false) => Reply::tool("lookup_ticket", json!({"id": "1"})),
        _ => Reply::text(asked.tool_results().join(", ")),
    });
    let tools = format!("limits: {{max_attempts: 1}}\ntools:\n{}", home.mcp_tool("idempotent"));
    home.agent("handy", &agent("handy", &model, &tools));
    let node = home.launch().start().await;
    node.ask("handy", "crash the tool server").await;
    wait::seen("the tools to be back", SOON, async || {
        let answer = node.ask("handy", "look it up").await;
        if answer.text.contains("ticket 1 is open") { Ok(()) } else { Err(answer.text) }
    })
    .await;
}

/// The median time of an answer from `calm`, over its own door.
async fn median_latency(node: &Node) -> Duration {
    let mut took = Vec::new();
    for _ in 0..20 {
        let start = Instant::now();
        node.ask("calm", "hello").await;
        took.push(start.elapsed());
    }
    took.sort();
    took[took.len() / 2]
}

/// Everything that the tree remembers of an agent's failures, as text.
async fn failures(node: &Node, agent: &str) -> String {
    let places = node.places_of(agent).await;
    let failures: Vec<&Value> = places.iter().map(|place| &place["failures"]).collect();
    json!(failures).to_string()
}
