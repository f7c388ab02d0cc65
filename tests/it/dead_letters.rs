//! What could not be done: kept with its history, and sent again when an operator says so.

use serde_json::{Value, json};

use kit::{
    model::{Gate, ModelServer, Reply},
    node::Home,
};

use crate::cast::{SOON, agent};

const IMPATIENT: &str = "limits: {max_attempts: 2, retry: {min: 10ms, max: 20ms}}";

#[tokio::test]
async fn an_execution_out_of_attempts_is_a_dead_letter_and_can_be_sent_again() {
    let (model, home) = (ModelServer::start().await, Home::new());
    // A refusal that no repetition mends, so that each attempt is one call.
    model.rule(|_| Reply::status(400, "the kit refuses this"));
    home.agent("helper", &agent("helper", &model, IMPATIENT));
    let node = home.launch().start().await;

    let answer = node.ask("helper", "please").await;
    assert!(["failed", "dead"].contains(&answer.str("/status").as_str()), "{}", answer.text);
    assert!(answer.str("/error/message").contains("the kit refuses this"), "the cause is told: {}", answer.text);

    let letters = node.get("/v1/dead-letters?agent=helper").await.expect(200);
    let letter = &letters.json["items"][0];
    assert_eq!(letter["execution_id"], answer.json["execution_id"], "{}", letters.text);
    assert_eq!(letter["trace_id"], answer.json["trace_id"]);
    assert!(letter["reason"].to_string().contains("the kit refuses this"), "{letter}");
    assert!(letter["attempts"].as_u64().is_some_and(|attempts| attempts >= 1), "{letter}");

    // The cause is mended; the letter goes home once.
    model.rule(|_| Reply::text("with pleasure"));
    let path = format!("/v1/dead-letters/{}", letter["id"]);
    let replayed = node.post(&format!("{path}/replay"), &json!({})).await.expect(202);
    let execution = node.execution_is(&replayed.str("/execution_id"), &["succeeded"], SOON).await;
    assert_eq!(execution["trace_id"], answer.json["trace_id"], "it is the same workflow");
    node.post(&format!("{path}/replay"), &json!({})).await.expect(409);

    kit::http::send(node.request("DELETE", &path)).await.expect(204);
    node.get(&path).await.expect(404);
}

#[tokio::test]
async fn a_failing_attempt_is_followed_by_another_with_a_fresh_context() {
    let (model, home, gate) = (ModelServer::start().await, Home::new(), Gate::closed());
    // The first attempt gets as far as a tool, and then runs out of time.
    model.then(Reply::tool("lookup_ticket", json!({"id": "1"}))).then(Reply::text("never").held_by(&gate));
    model.then(Reply::text("this time"));
    let limits = "limits: {timeout: 700ms, max_attempts: 2, retry: {min: 10ms, max: 20ms}}";
    home.agent("helper", &agent("helper", &model, &format!("{limits}\ntools:\n{}", home.mcp_tool("idempotent"))));
    let node = home.launch().start().await;
    let answer = node.ask("helper", "please").await;
    assert_eq!(answer.json["output"], "this time", "{}", answer.text);
    let execution = node.execution(&answer.str("/execution_id")).await;
    assert_eq!((&execution["status"], &execution["attempt"]), (&json!("succeeded"), &json!(2)));
    let asked = model.asked();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[0].body["messages"], asked[2].body["messages"], "nothing of the first attempt is in the second");
}

#[tokio::test]
async fn a_broken_stream_is_tried_again_and_its_half_answer_is_never_shown() {
    let (model, home) = (ModelServer::start().await, Home::new());
    model.then(Reply::cut("half of an ans")).then(Reply::text("the whole answer"));
    home.agent("helper", &agent("helper", &model, IMPATIENT));
    let node = home.launch().start().await;
    let answer = node.ask("helper", "please").await;
    assert_eq!(answer.json["output"], Value::from("the whole answer"), "{}", answer.text);
}
