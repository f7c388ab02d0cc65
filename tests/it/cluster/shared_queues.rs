//! Agents that share queues, because there are more of them than have one each.

use std::{collections::BTreeSet, time::Duration};

use greenroom_contract::execution::Effect;
use kit::{
    chaos::{Load, Subject},
    model::{ModelServer, Reply},
    node::{Cluster, Node},
    servers::{Backends, shared},
    wait,
};
use serde_json::json;

use super::LONG;
use crate::cast::{agent, saying, scripted};

/// How long a move may take: nothing is unbound before every node has seen the changed folder.
const MOVED: Duration = wait::PATIENCE;

/// A cluster in which so many agents have a queue each.
async fn cluster(own: usize) -> (Backends, Cluster) {
    let backends = shared().backends().await;
    let mut cluster = Cluster::over(&backends.amqp.url, &backends.database.url, &backends.redis.url);
    cluster.env("GREENROOM_QUEUES", own.to_string());
    (backends, cluster)
}

/// The agents' queues that the broker has, by the broker's word.
async fn queues(backends: &Backends) -> BTreeSet<String> {
    let all = backends.amqp.ask("queues").await;
    let names = all.as_array().into_iter().flatten().filter_map(|queue| queue["name"].as_str());
    names.filter(|name| name.starts_with("agent.")).map(str::to_owned).collect()
}

async fn queues_are(backends: &Backends, kind: &str, count: usize) {
    wait::seen(&format!("{count} queues, all of them {kind}.*"), MOVED, async || {
        let found = queues(backends).await;
        let right = found.len() == count && found.iter().all(|name| name.starts_with(kind));
        if right { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crossing_the_number_both_ways_under_load_and_kills_loses_nothing() {
    let (backends, cluster) = cluster(2).await;
    let load = Load::on(cluster, Subject::Tool(Effect::Idempotent)).await;
    let mut nodes = Vec::new();
    for name in ["one", "two", "three"] {
        nodes.push(load.cluster.start(name, "all").await);
    }
    let (killed, others) = nodes.split_at_mut(1);
    let doors: Vec<&Node> = others.iter().map(|other| other.node()).collect();
    load.give_while(&doors, async {
        queues_are(&backends, "agent.input.", 2).await;
        // One agent too many: all three share. A node dies in the middle of it.
        load.cluster.home().agent("third", &saying("third", "here"));
        killed[0].kill9().await;
        wait::until("events to come by a shared queue", LONG, async || {
            queues(&backends).await.iter().any(|name| name.starts_with("agent.shard."))
        })
        .await;
        killed[0].start().await;
        queues_are(&backends, "agent.shard.", 3).await;
        assert_eq!(others_ask(&doors).await, "here");
        killed[0].kill9().await;
        // And back again.
        load.cluster.home().remove_agent("third");
        killed[0].start().await;
        queues_are(&backends, "agent.input.", 2).await;
    })
    .await;
    let summary = load.judge(nodes[1].node()).await;
    assert_eq!((summary.succeeded, summary.lost, summary.duplicated), (summary.accepted, 0, 0), "{summary:?}");
    assert!(summary.accepted > 50, "there was no load: {summary:?}");
}

async fn others_ask(doors: &[&Node]) -> String {
    doors[0].ask("third", "are you there?").await.json["output"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_takes_nothing_is_in_nobodys_way_and_one_event_reaches_all_who_listen() {
    let (_backends, cluster) = cluster(0).await;
    // Two of a kind, by their names in one queue, and one whose queue is another.
    let listens = "subscriptions: [orders.*]\n";
    for name in ["paused", "quick", "other"] {
        cluster.home().agent(name, &scripted(name, "[{reply: heard}]", listens));
    }
    let node = cluster.start("one", "all").await;
    for name in ["paused", "quick", "other"] {
        node.node().agent_is(name, &["idle"], LONG).await;
    }
    node.node().post("/v1/agents/paused/pause", &json!({})).await.expect(200);
    let mut held = Vec::new();
    for n in 0..100 {
        held.push(node.node().submit("paused", &format!("piece {n}")).await);
    }
    // More than a consumer holds at a time waits for it, and its neighbour answers.
    assert_eq!(node.node().ask("quick", "quick?").await.json["output"], "heard");
    node.node().post("/v1/events", &json!({"event_type": "orders.new", "payload": {"n": 1}})).await.expect(202);
    let heard = async |name: &str, count: usize| {
        wait::seen(&format!("{name} to have {count} executions that ended well"), LONG, async || {
            let all = node.node().executions(name).await;
            let well = all.iter().filter(|one| one["status"] == "succeeded").count();
            if well == count { Ok(()) } else { Err(format!("{well} of {}", all.len())) }
        })
        .await;
    };
    heard("quick", 2).await;
    heard("other", 1).await;
    wait::until("the queues to be empty, though one takes nothing", LONG, async || {
        let all = node.node().get("/v1/queues").await.expect(200).json;
        let items = all["items"].as_array().cloned().unwrap_or_default();
        let shared: Vec<_> =
            items.iter().filter(|q| q["name"].as_str().is_some_and(|n| n.contains(".shard."))).collect();
        shared.len() == 2 && shared.iter().all(|q| q["ready"] == 0 && q["unacknowledged"] == 0 && q["consumers"] == 1)
    })
    .await;
    node.node().post("/v1/agents/paused/resume", &json!({})).await.expect(200);
    for id in &held {
        node.node().execution_is(id, &["succeeded"], LONG).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_continuous_agent_in_a_shared_queue_keeps_its_order_over_a_kill() {
    const ALL: usize = 40;
    let (_backends, cluster) = cluster(0).await;
    let model = ModelServer::start().await;
    model.rule(|_| Reply::text("noted").after(Duration::from_millis(20)));
    let talker = agent("talker", &model, "").replace("autonomous", "continuous");
    cluster.home().agent("talker", &talker);
    let (mut one, two) = (cluster.start("one", "all").await, cluster.start("two", "all").await);
    two.node().agent_is("talker", &["idle"], LONG).await;
    let mut given = Vec::new();
    for n in 0..ALL {
        given.push(two.node().submit("talker", &format!("number {n}")).await);
        if n == ALL / 2 {
            one.kill9().await;
        }
    }
    for id in &given {
        two.node().execution_is(id, &["succeeded"], LONG).await;
    }
    let mut asked: Vec<String> = model.asked().iter().map(|asked| asked.question()).collect();
    // The one in flight at the kill is asked again.
    asked.dedup();
    assert_eq!(asked, (0..ALL).map(|n| format!("number {n}")).collect::<Vec<_>>());
}
