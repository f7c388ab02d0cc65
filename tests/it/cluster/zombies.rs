//! Nodes that are taken for dead and are not: frozen, or cut off. They write nothing after their work has moved.

use greenroom_contract::execution::Effect;
use kit::{
    chaos::{Load, Subject},
    node::{Cluster, Member, Node},
    proxy::Proxy,
    servers::{Backends, shared},
    wait,
};
use serde_json::Value;

use super::LONG;

/// Two nodes; the first has taken the held piece and waits for its model.
async fn held<'a>(load: &'a Load, first: Member<'a>) -> (Member<'a>, Member<'a>, String) {
    let mut first = first;
    first.start().await;
    let trace = load.give(&[first.node()], "held piece").await;
    load.model.wait_for_calls(1).await;
    let second = load.cluster.start("second", "all").await;
    (first, second, trace)
}

async fn cluster() -> (Backends, Cluster) {
    let backends = shared().backends().await;
    let cluster = Cluster::over(&backends.amqp.url, &backends.database.url, &backends.redis.url);
    (backends, cluster)
}

/// The clerk's execution in a workflow.
async fn execution(node: &Node, trace: &str) -> Result<Value, String> {
    let answer = node.try_get(&format!("/v1/traces/{trace}")).await.map_err(|error| format!("{error:?}"))?;
    let found = answer.json["executions"].as_array().into_iter().flatten().find(|one| one["agent"] == "clerk");
    found.cloned().ok_or(answer.text)
}

/// Waits until a node has the execution.
async fn is_at(node: &Node, trace: &str, name: &str) -> Value {
    wait::seen(&format!("the work to be at {name}"), LONG, async || {
        let execution = execution(node, trace).await?;
        if execution["node"] == name { Ok(execution) } else { Err(execution.to_string()) }
    })
    .await
}

/// The tool must not be called twice; that the zombie's model answers changes nothing.
async fn only_the_second_wrote(load: &Load, first: &Member<'_>, second: &Member<'_>, trace: &str) {
    first.is_ready(true, LONG).await;
    let summary = load.judge(second.node()).await;
    assert_eq!((summary.succeeded, summary.lost, summary.duplicated, summary.repaid), (summary.accepted, 0, 0, 0));
    let ended = execution(second.node(), trace).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((&ended["node"], &ended["status"]), (&Value::from("second"), &Value::from("succeeded")), "{ended}");
    assert_eq!(load.cluster.home().tool_calls().len(), 1, "the zombie did not call the tool");
    // It lives on as a node like any other.
    load.give(&[first.node()], "another piece").await;
    load.judge(first.node()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_node_writes_nothing_after_its_work_has_moved() {
    let (_backends, cluster) = cluster().await;
    let load = Load::on(cluster, Subject::Tool(Effect::AtMostOnce)).await;
    let (first, second, trace) = held(&load, load.cluster.member("first", "all")).await;
    first.freeze();
    is_at(second.node(), &trace, "second").await;
    // Both calls of the model are answered; the frozen node hears its answer when it goes on.
    load.gate.open();
    wait::seen("the work to end at the second", LONG, async || {
        let execution = execution(second.node(), &trace).await?;
        if execution["status"] == "succeeded" { Ok(()) } else { Err(execution.to_string()) }
    })
    .await;
    first.thaw();
    only_the_second_wrote(&load, &first, &second, &trace).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_cut_off_from_the_database_writes_nothing_after_its_work_has_moved() {
    let (backends, cluster) = cluster().await;
    let proxy = Proxy::before(&backends.database.url).await;
    let load = Load::on(cluster, Subject::Tool(Effect::AtMostOnce)).await;
    let first = load.cluster.member("first", "all").env("GREENROOM_DATABASE_URL", proxy.url());
    let (first, second, trace) = held(&load, first).await;
    proxy.cut();
    is_at(second.node(), &trace, "second").await;
    load.gate.open();
    first.is_ready(false, LONG).await;
    wait::seen("the work to end at the second", LONG, async || {
        let execution = execution(second.node(), &trace).await?;
        if execution["status"] == "succeeded" { Ok(()) } else { Err(execution.to_string()) }
    })
    .await;
    proxy.heal();
    only_the_second_wrote(&load, &first, &second, &trace).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_cut_off_from_the_broker_finishes_what_it_has_and_takes_nothing_new() {
    let (backends, cluster) = cluster().await;
    let proxy = Proxy::before(&backends.amqp.url).await;
    let load = Load::on(cluster, Subject::Tool(Effect::Keyed)).await;
    let first = load.cluster.member("first", "all").env("GREENROOM_AMQP_URL", proxy.url());
    let (first, second, trace) = held(&load, first).await;
    proxy.cut();
    first.is_ready(false, LONG).await;
    let mut others = Vec::new();
    for number in 0..10 {
        others.push(load.give(&[second.node()], &format!("piece-{number}")).await);
    }
    for other in &others {
        is_at(second.node(), other, "second").await;
    }
    load.gate.open();
    wait::seen("the first to finish what it has", LONG, async || {
        let execution = execution(second.node(), &trace).await?;
        let finished = execution["status"] == "succeeded" && execution["node"] == "first" && execution["crashes"] == 0;
        if finished { Ok(()) } else { Err(execution.to_string()) }
    })
    .await;
    proxy.heal();
    first.is_ready(true, LONG).await;
    let summary = load.judge(second.node()).await;
    assert_eq!((summary.succeeded, summary.repeated), (11, 0), "{summary:?}");
}
