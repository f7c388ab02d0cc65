//! The HTTP door: invoking, waiting, repeating, and requests of every wrong kind.

use serde_json::{Value, json};

use kit::{
    http::Answer,
    model::{Gate, ModelServer, Reply},
    node::{Home, Node},
    wait,
};

use crate::cast::{SOON, agent, saying, scripted};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

async fn node_with_echo(home: &Home) -> Node {
    home.agent("echo", &scripted("echo", r#"[{reply: "You said {input}"}]"#, ""));
    home.launch().start().await
}

#[tokio::test]
async fn who_waits_gets_the_answer_and_who_does_not_gets_its_address() {
    let home = Home::new();
    let node = node_with_echo(&home).await;

    let waited = node.ask("echo", "hello").await;
    assert_eq!(waited.str("/status"), "succeeded");
    assert!(waited.json["output"].to_string().contains("You said hello"), "{}", waited.text);
    assert_eq!(waited.json["steps"][0]["kind"], "llm");
    assert!(waited.json.get("cost_usd").is_some(), "{}", waited.text);

    let taken = node.post("/v1/agents/echo/invoke", &json!({"input": {"order": 7}})).await.expect(202);
    assert_eq!(taken.header("location"), format!("/v1/executions/{}", taken.str("/execution_id")));
    let execution = node.execution_is(&taken.str("/execution_id"), &["succeeded"], SOON).await;
    assert_eq!(execution["input"]["input"], json!({"order": 7}), "an object stays an object");
}

#[tokio::test]
async fn a_wait_that_is_too_short_ends_with_the_state_and_the_work_goes_on() {
    let (model, home, gate) = (ModelServer::start().await, Home::new(), Gate::closed());
    model.then(Reply::text("at last").held_by(&gate));
    home.agent("slow", &agent("slow", &model, ""));
    let node = home.launch().start().await;

    let answer = node.post("/v1/agents/slow/invoke?wait=200ms", &json!({"input": "hm"})).await.expect(202);
    assert!(["queued", "running"].contains(&answer.str("/status").as_str()), "{}", answer.text);
    gate.open();
    let execution = node.execution_is(&answer.str("/execution_id"), &["succeeded"], SOON).await;
    assert!(execution["output"].to_string().contains("at last"));
}

#[tokio::test]
async fn a_trace_id_given_at_the_door_is_on_every_row_and_line() {
    let home = Home::new();
    let node = node_with_echo(&home).await;
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let request = node.request("POST", "/v1/agents/echo/invoke?wait=110s").header("traceparent", parent);
    let answer = kit::http::send(request.json(&json!({"input": "hello"}))).await.expect(200);

    assert_eq!((answer.str("/trace_id").as_str(), answer.header("x-trace-id")), (TRACE, TRACE));
    let id = answer.str("/execution_id");
    let trace = node.get(&format!("/v1/traces/{TRACE}")).await.expect(200);
    assert_eq!(trace.str("/executions/0/execution_id"), id);
    assert_eq!(trace.str("/executions/0/trace_id"), TRACE);
    let of_the_work: Vec<Value> = home.logs().into_iter().filter(|line| line["execution_id"] == id.as_str()).collect();
    assert!(!of_the_work.is_empty(), "no log line names the execution");
    assert!(of_the_work.iter().all(|line| line["trace_id"] == TRACE), "{of_the_work:#?}");
}

#[tokio::test]
async fn the_same_key_again_is_the_same_execution() {
    let (model, home) = (ModelServer::start().await, Home::new());
    model.rule(|_| Reply::text("done"));
    home.agent("payer", &agent("payer", &model, ""));
    let node = home.launch().start().await;
    let pay = async |input: &str| -> Answer {
        let request = node.request("POST", "/v1/agents/payer/invoke?wait=110s").header("idempotency-key", "order-7");
        kit::http::send(request.json(&json!({"input": input}))).await
    };

    let first = pay("pay 7").await.expect(200);
    let again = pay("pay 7").await.expect(200);
    assert_eq!(first.str("/execution_id"), again.str("/execution_id"));
    assert_eq!(first.str("/trace_id"), again.str("/trace_id"), "the body tells of the first workflow");
    assert_eq!(model.calls(), 1, "the model was paid once");

    let other = pay("pay 8").await;
    assert!([409, 422].contains(&other.status), "the key belongs to another input: {} {}", other.status, other.text);
    problem(&other);
    assert_eq!(model.calls(), 1);
}

#[tokio::test]
async fn bodies_of_every_wrong_kind_are_refused_with_their_place() {
    let home = Home::new();
    let node = node_with_echo(&home).await;
    let json_type = "application/json";
    let bodies: [(&str, &str, &[u16]); 13] = [
        (json_type, "", &[400]),
        (json_type, "{", &[400]),
        (json_type, "not json", &[400]),
        (json_type, "{\"input\": \"\u{0}\"}", &[400, 422]),
        (json_type, "[]", &[422]),
        (json_type, "{}", &[422]),
        (json_type, r#"{"input": null}"#, &[422]),
        (json_type, r#"{"input": 7}"#, &[422]),
        (json_type, r#"{"input": [1]}"#, &[422]),
        (json_type, r#"{"input": "  "}"#, &[422]),
        (json_type, r#"{"input": "x", "priority": "urgent"}"#, &[422]),
        (json_type, r#"{"input": "x", "inptu": "y"}"#, &[422]),
        ("text/plain", r#"{"input": "x"}"#, &[415]),
    ];
    for (content_type, body, expected) in bodies {
        let answer = node.post_raw("/v1/agents/echo/invoke", content_type, body.to_owned()).await;
        let shown = &body[..body.len().min(60)];
        assert!(expected.contains(&answer.status), "{shown:?} was answered {} {}", answer.status, answer.text);
        problem(&answer);
    }
    let invalid_utf8 = node.post_raw("/v1/agents/echo/invoke", json_type, b"{\"input\": \"\xff\"}".to_vec()).await;
    problem(&invalid_utf8.expect(400));
    assert_eq!(node.executions("echo").await, Vec::<Value>::new(), "a refused request leaves nothing behind");

    // Last, because such a connection is closed behind the answer.
    let large = format!(r#"{{"input": "{}"}}"#, "x".repeat(2 * 1024 * 1024));
    let too_large = wait::seen("the answer to a body that is too large", SOON, async || {
        // A server that refuses to read on may close the connection before its answer is read: then ask again.
        let request = node.request("POST", "/v1/agents/echo/invoke").header("content-type", json_type);
        kit::http::try_send(request.body(large.clone())).await.map_err(|error| format!("{error:?}"))
    })
    .await;
    problem(&too_large.expect(413));
}

#[tokio::test]
async fn paths_ids_and_parameters_that_are_wrong_say_so() {
    let home = Home::new();
    let node = node_with_echo(&home).await;
    let unknown = "01900000-0000-7000-8000-000000000001";
    for (method, path, expected) in [
        ("GET", "/v1/agents/nobody", 404),
        ("GET", &format!("/v1/executions/{unknown}"), 404),
        ("GET", "/v1/executions/7", 400),
        ("GET", "/v1/executions?status=done", 400),
        ("GET", "/v1/executions?colour=red", 400),
        ("GET", "/v1/executions?limit=0", 400),
        ("GET", &format!("/v1/traces/{TRACE}"), 404),
        ("GET", "/v1/tree?format=xml", 400),
        ("GET", "/v1/dead-letters/99", 404),
        ("GET", "/v2/agents", 404),
        ("DELETE", "/v1/agents", 405),
    ] {
        let answer = kit::http::send(node.request(method, path)).await;
        assert_eq!(answer.status, expected, "{method} {path}: {}", answer.text);
        problem(&answer);
    }
    let nobody = node.post("/v1/agents/nobody/invoke", &json!({"input": "x"})).await.expect(404);
    assert!(problem(&nobody).contains("nobody"), "{}", nobody.text);
    problem(&node.post("/v1/agents/echo/invoke?wait=soon", &json!({"input": "x"})).await.expect(400));
}

#[tokio::test]
async fn without_a_token_only_this_machine_may_ask() {
    let home = Home::new();
    let node = node_with_echo(&home).await;
    for (header, value) in [("host", "evil.example"), ("origin", "https://evil.example")] {
        let answer = kit::http::send(node.request("GET", "/v1/agents").header(header, value)).await;
        problem(&answer.expect(403));
    }
    let same_machine = node.request("GET", "/v1/agents").header("origin", "http://localhost:3000");
    kit::http::send(same_machine).await.expect(200);
}

#[tokio::test]
async fn with_a_token_every_path_but_health_asks_for_it() {
    let home = Home::new();
    home.agent("echo", &saying("echo", "hi"));
    let node = home.launch().env("GREENROOM_API_TOKEN", "s3cret-token-of-the-kit").begin().await;
    problem(&node.get("/v1/agents").await.expect(401));
    let wrong = node.request("GET", "/v1/agents").bearer_auth("another");
    problem(&kit::http::send(wrong).await.expect(401));
    node.get("/health").await.expect(200);
    let right = node.request("GET", "/v1/agents").bearer_auth("s3cret-token-of-the-kit");
    kit::http::send(right).await.expect(200);
}

#[tokio::test]
async fn an_event_wakes_every_agent_that_subscribed_to_its_topic() {
    let home = Home::new();
    home.agent("one", &scripted("one", r#"[{reply: "one"}]"#, "subscriptions: [orders.created]"));
    home.agent("two", &scripted("two", r#"[{reply: "two"}]"#, "subscriptions: [\"orders.*\"]"));
    home.agent("three", &scripted("three", r#"[{reply: "three"}]"#, "subscriptions: [invoices.*]"));
    let node = home.launch().start().await;
    let event = json!({"event_type": "orders.created", "payload": {"order": 7}});
    let answer = node.post("/v1/events", &event).await;
    assert!([200, 201, 202].contains(&answer.status), "{} {}", answer.status, answer.text);
    for name in ["one", "two"] {
        wait::until(&format!("{name} to have worked"), SOON, async || {
            node.executions(name).await.first().is_some_and(|execution| execution["status"] == "succeeded")
        })
        .await;
    }
    assert!(node.executions("three").await.is_empty());
}

#[tokio::test]
async fn a_running_execution_can_be_cancelled() {
    let (model, home, gate) = (ModelServer::start().await, Home::new(), Gate::closed());
    model.then(Reply::text("too late").held_by(&gate)).then(Reply::text("next"));
    home.agent("slow", &agent("slow", &model, "concurrency: 1"));
    let node = home.launch().start().await;
    let id = node.submit("slow", "work").await;
    model.wait_for_calls(1).await;
    node.post(&format!("/v1/executions/{id}/cancel"), &json!({})).await.expect(200);
    node.execution_is(&id, &["cancelled"], SOON).await;
    // Its place is free: the only slot serves the next one although the model still hangs.
    let next = node.ask("slow", "more").await;
    assert!(next.json["output"].to_string().contains("next"), "{}", next.text);
    let again = node.post(&format!("/v1/executions/{id}/cancel"), &json!({})).await;
    assert_eq!(again.status, 409, "what has ended cannot be cancelled: {}", again.text);
}

/// Checks that a refusal has the shape of RFC 9457 and returns its detail.
fn problem(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), "application/problem+json", "{}", answer.text);
    assert_eq!(answer.json["status"], answer.status);
    for field in ["type", "title", "code", "trace_id"] {
        assert!(!answer.str(&format!("/{field}")).is_empty());
    }
    let detail = answer.str("/detail");
    assert!(!detail.is_empty());
    detail
}
