//! Several nodes as one: a deploy under load, one key at two doors, a changed file, one list of agents.

use std::collections::BTreeSet;

use greenroom_contract::execution::Effect;
use kit::{
    chaos::{Load, Subject},
    http,
    node::{Cluster, Node},
    servers::shared,
    wait,
};
use serde_json::{Value, json};

use super::LONG;
use crate::cast::{saying, scripted};

/// Keys that are posted to two nodes at once.
const KEYS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_restarted_one_after_the_other_under_load_lose_nothing() {
    let load = Load::on(Cluster::new().await, Subject::Tool(Effect::AtMostOnce)).await;
    let mut nodes = Vec::new();
    for name in ["one", "two", "three"] {
        nodes.push(load.cluster.start(name, "all").await);
    }
    for _ in 0..3 {
        let Some((restarted, others)) = nodes.split_first_mut() else { panic!("there are three") };
        let doors: Vec<&Node> = others.iter().map(|other| other.node()).collect();
        load.give_while(&doors, async {
            let status = restarted.stop().await;
            assert!(status.success(), "{} ended with {status}", restarted.name);
            restarted.start().await;
            restarted.is_ready(true, LONG).await;
        })
        .await;
        nodes.rotate_left(1);
    }
    let summary = load.judge(nodes[0].node()).await;
    assert_eq!((summary.succeeded, summary.failed, summary.unknown), (summary.accepted, 0, 0), "{summary:?}");
    // In order: nothing was interrupted, so nothing had to be done again.
    assert_eq!((summary.repeated, summary.crashes), (0, 0), "{summary:?}");
    assert!(summary.accepted > 20, "there was no load: {summary:?}");
}

async fn invoke(node: &Node, key: &str) -> String {
    let request = node.request("POST", "/v1/agents/worker/invoke").header("idempotency-key", key);
    http::send(request.json(&json!({"input": "once"}))).await.expect(202).str("/execution_id")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_at_two_nodes_at_once_is_one_execution() {
    let cluster = Cluster::new().await;
    cluster.home().agent("worker", &saying("worker", "done"));
    let (one, two) = (cluster.start("one", "all").await, cluster.start("two", "all").await);
    let mut given = BTreeSet::new();
    for key in 0..KEYS {
        let key = format!("key-{key}");
        let (here, there) = tokio::join!(invoke(one.node(), &key), invoke(two.node(), &key));
        assert_eq!(here, there, "{key}");
        given.insert(here);
    }
    for id in &given {
        let ended = one.node().execution_is(id, &["succeeded"], LONG).await;
        assert_eq!((&ended["attempt"], &ended["crashes"]), (&json!(1), &json!(0)), "{ended}");
    }
    // Also long after, at either.
    let again = invoke(two.node(), "key-0").await;
    assert!(given.contains(&again), "{again}");
    let listed = two.node().executions("worker").await;
    let listed: BTreeSet<String> =
        listed.iter().filter_map(|one| Some(one["execution_id"].as_str()?.to_owned())).collect();
    assert_eq!((listed, given.len()), (given, KEYS));
}

/// The agent as this node lists it: once, with what each node that runs it says.
async fn listed(node: &Node) -> Result<Value, String> {
    let answer = node.get("/v1/agents").await.expect(200);
    let items = answer.json["items"].as_array().cloned().unwrap_or_default();
    match <[Value; 1]>::try_from(items) {
        Ok([agent]) => Ok(agent),
        Err(items) => Err(format!("{} agents: {}", items.len(), answer.text)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_taken_up_by_both_nodes_and_the_agent_is_listed_once() {
    let cluster = Cluster::new().await;
    cluster.home().agent("worker", &saying("worker", "old"));
    let (one, two) = (cluster.start("one", "all").await, cluster.start("two", "all").await);
    let versions = async |node: &Node| -> Result<(String, usize), String> {
        let agent = listed(node).await?;
        let on: Vec<&Value> = agent["nodes"].as_array().into_iter().flatten().collect();
        let names: Vec<&str> = on.iter().filter_map(|on| on["node"].as_str()).collect();
        let versions: BTreeSet<&str> = on.iter().filter_map(|on| on["version"].as_str()).collect();
        let idle = on.iter().all(|on| on["status"] == "idle");
        match versions.first() {
            Some(version) if names == ["one", "two"] && idle => Ok(((*version).to_owned(), versions.len())),
            _ => Err(agent.to_string()),
        }
    };
    let both_have = async |node: &Node, other_than: &str| {
        wait::seen("both nodes to have one version", LONG, async || match versions(node).await? {
            (version, 1) if version != other_than => Ok(version),
            other => Err(format!("{other:?}")),
        })
        .await
    };
    let old = both_have(one.node(), "").await;
    cluster.home().agent("worker", &saying("worker", "new"));
    let new = both_have(two.node(), &old).await;
    assert_eq!(both_have(one.node(), &old).await, new);
    for node in [one.node(), two.node()] {
        for _ in 0..5 {
            assert_eq!(node.ask("worker", "what?").await.json["output"], "new");
        }
    }
    let only = two.node().get("/v1/agents?node=one").await.expect(200);
    assert_eq!(
        (&only.json["items"][0]["node"], only.json["items"][0]["nodes"].as_array().map(Vec::len)),
        (&json!("one"), Some(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_was_dropped_while_no_node_was_up_leads_nowhere() {
    let backends = shared().backends().await;
    let cluster = Cluster::over(&backends.amqp.url, &backends.database.url, &backends.redis.url);
    let subscribed = |topics: &str| scripted("listener", "[{reply: heard}]", &format!("subscriptions: [{topics}]"));
    let bound = async |wanted: &[&str]| {
        wait::seen(&format!("the queue to be bound to {wanted:?}"), LONG, async || {
            let all = backends.amqp.ask("bindings").await;
            let ours = all
                .as_array()
                .into_iter()
                .flatten()
                .filter(|one| one["destination"] == "agent.input.listener" && one["source"] == "greenroom.events");
            let topics: BTreeSet<&str> = ours.filter_map(|one| one["routing_key"].as_str()).collect();
            if topics == wanted.iter().copied().collect() { Ok(()) } else { Err(format!("{topics:?}")) }
        })
        .await;
    };
    cluster.home().agent("listener", &subscribed("orders.*, bills.paid"));
    let mut node = cluster.start("one", "all").await;
    bound(&["agent.input.listener", "orders.*", "bills.paid"]).await;
    node.node().agent_is("listener", &["idle"], LONG).await;
    assert!(node.stop().await.success());
    cluster.home().agent("listener", &subscribed("orders.*"));
    node.start().await;
    bound(&["agent.input.listener", "orders.*"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_stays_at_one_node_until_that_one_goes() {
    let cluster = Cluster::new().await;
    let chat = scripted("chat", "[{reply: \"well\", delay: 20ms}]", "").replace("autonomous", "continuous");
    cluster.home().agent("chat", &chat);
    let mut nodes = [cluster.start("one", "all").await, cluster.start("two", "all").await];
    for node in &nodes {
        node.node().agent_is("chat", &["idle"], LONG).await;
    }
    let mut given = Vec::new();
    for n in 0..30 {
        given.push(nodes[n % 2].node().submit("chat", &format!("event {n}")).await);
    }
    let mut at = BTreeSet::new();
    for id in given {
        let ended = nodes[0].node().execution_is(&id, &["succeeded"], LONG).await;
        at.insert(ended["node"].as_str().unwrap_or_default().to_owned());
    }
    assert_eq!(at.len(), 1, "the conversation was at {at:?}");

    // What its node had begun or taken in goes on at the other when that one stops.
    if at.contains("one") {
        nodes.reverse();
    }
    let [stays, goes] = &mut nodes;
    let mut given = Vec::new();
    for n in 0..10 {
        given.push(goes.node().submit("chat", &format!("more {n}")).await);
    }
    assert!(goes.stop().await.success());
    for id in given {
        let ended = stays.node().execution_is(&id, &["succeeded"], LONG).await;
        assert_eq!(ended["attempt"], 1, "{ended}");
    }
    assert_eq!(stays.node().ask("chat", "and now?").await.json["output"], "well");
}
