//! What a run outlives in a cluster: every node and every server at once, and nodes that die one after the other.

use std::collections::BTreeSet;

use futures::future::join_all;
use kit::{
    model::ModelServer,
    node::{Cluster, Member},
    servers::{Kind, Server},
    wait::{self, PATIENCE},
};
use serde_json::{Value, json};

use super::{
    ground::{begin, lead, others, questions, say},
    killing::{CALLS, answer, plan, step},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_after_every_node_and_every_server_was_killed() {
    let (mut broker, mut database, mut redis) =
        futures::join!(Server::start(Kind::RabbitMq), Server::start(Kind::Postgres), Server::start(Kind::Redis));
    let cluster = Cluster::over(broker.url(), database.url(), redis.url());
    let model = ModelServer::start().await;
    others(cluster.home(), &model);
    cluster.home().agent("lead", &lead(&model, ""));
    model.rule(answer);
    let mut door = cluster.member("door", "gateway,orchestrator,scheduler");
    let mut pool = cluster.member("pool", "autonomous,collaborative");
    futures::join!(door.start(), pool.start());
    let id = begin(door.node(), json!({ "agent": "lead", "task": "one", "plan": plan() })).await;
    let asked = wait::seen("the critic's question", PATIENCE, async || {
        let run = door.node().get(&format!("/v1/plans/{id}")).await.expect(200).json;
        if run["status"] == "waiting" { Ok(run["questions"][0].clone()) } else { Err(run) }
    })
    .await;
    let calls = model.calls();

    futures::join!(door.kill9(), pool.kill9());
    futures::join!(broker.kill(), database.kill(), redis.kill());
    futures::join!(broker.start_again(), database.start_again(), redis.start_again());
    futures::join!(door.start(), pool.start());

    let open = questions(door.node(), 1).await.remove(0);
    assert_eq!(open["clarification_id"], asked["clarification_id"], "{open}");
    say(door.node(), &open, json!("good")).await;
    let run = is_over(&door, &id).await;
    is_right(&run);
    assert_eq!((calls, model.calls()), (CALLS - 3, CALLS), "nothing was asked again");
    stop(&mut [door, pool]).await;
}

/// Three nodes that are alike. With every piece of work that a model is asked for the first time one of them dies, now and then two.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_goes_on_while_nodes_die_one_after_the_other() {
    let cluster = Cluster::new().await;
    let model = ModelServer::start().await;
    others(cluster.home(), &model);
    cluster.home().agent("lead", &lead(&model, ""));
    // Long enough that most deaths meet somebody at work.
    model.rule(|asked| answer(asked).after(std::time::Duration::from_millis(300)));
    let mut nodes = ["one", "two", "three"].map(|name| cluster.member(name, "all"));
    join_all(nodes.iter_mut().map(Member::start)).await;

    let mut seen = BTreeSet::new();
    let (mut rounds, mut kills) = (0, [0; 3]);
    let run = wait::seen("the run to end", PATIENCE, async || {
        let new =
            model.asked().into_iter().map(|asked| (asked.question(), asked.turn())).find(|work| !seen.contains(work));
        if let Some(work) = new {
            seen.insert(work);
            let victims = if rounds % 3 == 0 { vec![rounds % 3, (rounds + 1) % 3] } else { vec![rounds % 3] };
            rounds += 1;
            for victim in victims {
                nodes[victim].kill9().await;
                kills[victim] += 1;
            }
            join_all(nodes.iter_mut().filter(|node| !node.is_up()).map(Member::start)).await;
        }
        match step(nodes[rounds % 3].node(), "one").await {
            Some(run) if is_final(&run) => Ok(run),
            other => Err(other.unwrap_or_default()),
        }
    })
    .await;
    is_right(&run);
    let made: usize = kills.iter().sum();
    // Work that is done while others come back is not seen as new.
    assert!(kills.iter().all(|kills| *kills >= 1) && made >= 5, "{kills:?}");
    assert!((CALLS..=CALLS + made).contains(&model.calls()), "{} calls after {made} kills", model.calls());
    for agent in ["scout", "writer", "critic"] {
        let made = nodes[0].node().executions(agent).await;
        assert_eq!(made.len(), 2, "{agent} was asked anew: {made:?}");
    }
    stop(&mut nodes).await;
}

fn is_final(run: &Value) -> bool {
    matches!(run["status"].as_str(), Some("succeeded" | "failed" | "cancelled"))
}

fn is_right(run: &Value) {
    assert_eq!((&run["status"], &run["output"]), (&json!("succeeded"), &json!("[Read: They say good.]")), "{run}");
    let steps = run["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert!(steps.len() == 6 && steps.iter().all(|step| step["tries"] == 1), "a step was run twice: {run}");
}

async fn is_over(door: &Member<'_>, id: &str) -> Value {
    wait::seen("the run to end", PATIENCE, async || {
        let run = door.node().get(&format!("/v1/plans/{id}")).await.expect(200).json;
        if is_final(&run) { Ok(run) } else { Err(run) }
    })
    .await
}

async fn stop(nodes: &mut [Member<'_>]) {
    for status in join_all(nodes.iter_mut().map(Member::stop)).await {
        assert!(status.success(), "a node ended with {status}");
    }
}
