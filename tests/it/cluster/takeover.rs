//! Two nodes of the real binary over one PostgreSQL: who takes over, and what both keep to.

use kit::{
    model::{Gate, ModelServer, Reply},
    node::{Home, Node},
    servers::{Database, shared},
    wait,
};
use serde_json::json;

use crate::cast::{SOON, agent, saying};

async fn start(home: &Home, name: &str, database: &Database) -> Node {
    let variables = [("GREENROOM_NODE", name), ("GREENROOM_DATABASE_URL", &database.url)];
    home.launch().envs(variables.map(|(name, value)| (name.to_owned(), value.to_owned()))).start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_nodes_execution_goes_on_at_the_other_within_seconds() {
    let (database, model, gate) = (shared().database().await, ModelServer::start().await, Gate::closed());
    let held = gate.clone();
    model.rule(move |_| Reply::text("answer").held_by(&held));
    let (left, right) = (Home::new(), Home::new());
    for home in [&left, &right] {
        home.agent("worker", &agent("worker", &model, ""));
    }
    let one = start(&left, "one", &database).await;
    let id = one.submit("worker", "work").await;
    model.wait_for_calls(1).await;
    let two = start(&right, "two", &database).await;
    one.kill9().await;
    wait::seen("the call to be made again", SOON, async || match model.calls() {
        2 => Ok(()),
        calls => Err(calls),
    })
    .await;
    gate.open();
    let ended = two.execution_is(&id, &["succeeded"], SOON).await;
    assert_eq!((&ended["node"], &ended["crashes"]), (&json!("two"), &json!(1)), "{ended}");
    assert_eq!(model.calls(), 2, "only the call in flight was made again");
    let nodes = two.get("/v1/nodes").await.expect(200).json;
    let alive: Vec<_> = nodes["items"].as_array().into_iter().flatten().map(|node| node["node"].clone()).collect();
    assert_eq!(alive, [json!("two")], "{nodes}");

    // A node that comes back takes its place again, and a pause that was said to one holds at the other.
    let one = start(&left, "one", &database).await;
    two.post("/v1/agents/worker/pause", &json!({})).await.expect(200);
    one.agent_is("worker", &["paused"], SOON).await;
    two.post("/v1/agents/worker/resume", &json!({})).await.expect(200);
    one.agent_is("worker", &["idle"], SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_leaves_its_lease_and_comes_back_with_everything_kept() {
    let database = shared().database().await;
    let home = Home::new();
    home.agent("worker", &saying("worker", "done"));
    let node = start(&home, "only", &database).await;
    let id = node.submit("worker", "first").await;
    let ended = node.execution_is(&id, &["succeeded"], SOON).await;
    node.post("/v1/agents/worker/pause", &json!({})).await.expect(200);
    assert!(node.stop().await.success());
    let node = start(&home, "only", &database).await;
    node.agent_is("worker", &["paused"], SOON).await;
    assert_eq!(node.execution(&id).await["output"], ended["output"]);
}
