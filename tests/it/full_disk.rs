//! A disk that is full: what was accepted is kept, what cannot be kept is not accepted, and space brings it back.

use serde_json::json;

use kit::node::Home;

use crate::cast::{SOON, scripted};

/// No file may grow beyond 3 MiB: for SQLite that is a disk without space. (`ulimit -f` counts 512-byte blocks in a
/// POSIX shell and 1 KiB in others, so the limit is 1.5 MiB or 3 MiB; both will do.)
const SMALL_DISK: &str = "trap '' XFSZ; ulimit -f 3072";

#[tokio::test]
async fn a_full_disk_refuses_new_work_clearly_and_loses_nothing() {
    let home = Home::new();
    home.agent("clerk", &scripted("clerk", r#"[{reply: "done"}]"#, ""));
    let node = home.launch().after(SMALL_DISK).start().await;
    let ballast = "x".repeat(100_000);
    let mut accepted = Vec::new();
    let refusal = loop {
        let body = json!({"input": ballast});
        let answer = node.post("/v1/agents/clerk/invoke", &body).await;
        if answer.status != 202 {
            break answer;
        }
        accepted.push(answer.str("/execution_id"));
        assert!(accepted.len() < 1000, "the disk of this story never fills");
    };
    assert_eq!(refusal.status, 503, "{}", refusal.text);
    assert_eq!(refusal.header("content-type"), "application/problem+json");
    assert!(!refusal.str("/detail").is_empty());
    assert!(!accepted.is_empty(), "something fitted");
    // It lives on. (How its health is depends on whether the next small write still fits.)
    node.get("/health/live").await.expect(200);
    node.kill9().await;

    let node = home.launch().start().await;
    for id in &accepted {
        node.execution_is(id, &["succeeded"], SOON).await;
    }
    assert_eq!(node.executions("clerk").await.len(), accepted.len(), "what was refused was not half taken");
}
