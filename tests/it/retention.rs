//! What is older than it has to be kept goes by itself, and does not run again.

use kit::{node::Home, wait};
use serde_json::json;

use crate::cast::{SOON, saying};

#[tokio::test]
async fn old_history_goes_and_its_key_is_not_good_for_a_second_execution() {
    let home = Home::new();
    home.agent("worker", &saying("worker", "done"));
    let node = home.launch().env("GREENROOM_RETENTION", "off").start().await;
    let give = async |node: &kit::node::Node| {
        let request = node.request("POST", "/v1/agents/worker/invoke?wait=110s").header("Idempotency-Key", "once");
        kit::http::send(request.json(&json!({"input": "work"}))).await
    };
    let first = give(&node).await.expect(200);
    let path = format!("/v1/executions/{}", first.str("/execution_id"));
    assert_eq!(give(&node).await.expect(200).json["execution_id"], first.json["execution_id"]);
    assert!(node.places(|place| place["name"] == "housekeeping").await.is_empty());
    assert!(node.stop().await.success());

    let node = home.launch().env("GREENROOM_RETENTION", "1ms").start().await;
    assert_eq!(node.places(|place| place["name"] == "housekeeping").await.len(), 1);
    wait::seen("the execution to be deleted", SOON, async || match node.get(&path).await {
        answer if answer.status == 404 => Ok(()),
        answer => Err(answer.text),
    })
    .await;
    let refused = give(&node).await.expect(409);
    assert!(refused.text.contains("history was deleted"), "{}", refused.text);
    wait::seen("the log to say so", SOON, async || {
        let said = node.process.output();
        if said.contains("Old history was deleted.") { Ok(()) } else { Err(said) }
    })
    .await;
    // Whoever asks anew is served.
    assert_eq!(node.ask("worker", "more").await.json["output"], "done");
}
