//! Two nodes on one store and one bus, on paused time: who works, who is seen, who takes over.

use std::time::Duration;

use greenroom_contract::{
    port::operator::{Operator, Scope},
    status::AgentStatus,
};
use kit::house::{Act, Gate, House, World};

use super::agents::{agent, secs};

fn status(house: &House, agent: &str, node: &str) -> Option<AgentStatus> {
    let views = house.machine.agents();
    views.into_iter().find(|view| view.name.as_str() == agent && view.node.as_str() == node).map(|view| view.status)
}

async fn sees(house: &House, agent: &str, node: &str, wanted: AgentStatus) {
    let what = format!("{agent} on {node} to be seen as {wanted}");
    house.until(&what, || status(house, agent, node) == Some(wanted)).await;
}

#[tokio::test(start_paused = true)]
async fn any_node_takes_work_for_any_agent_and_shows_them_all() {
    let world = World::default();
    let (door, pool) = (world.node("door", "gateway,orchestrator"), world.node("pool", "autonomous"));
    let agents = [agent("a", "")];
    let door = door.open(&agents).await;
    assert_eq!(status(&door, "a", "door"), Some(AgentStatus::Unavailable), "no pool is up yet");
    // The queue is there already, so that what comes now waits in it.
    let early = door.invoke("a", "early").await;
    let holds = || world.bus.infos().iter().any(|queue| queue.name == "agent.input.a" && queue.ready == 1);
    door.until("the queue to hold it", holds).await;
    let pool = pool.open(&agents).await;
    assert_eq!(door.ended(early).await.node.unwrap().as_str(), "pool");
    sees(&door, "a", "pool", AgentStatus::Idle).await;
    assert_eq!(door.machine.agents().len(), 1, "it runs at one place");

    door.until("both branches", || door.machine.tree(Scope::Cluster).nodes.len() == 2).await;
    let tree = door.machine.tree(Scope::Cluster);
    assert!(tree.complete && tree.nodes.iter().all(|node| node.reachable));
    let there = tree.nodes.iter().find(|node| node.node.as_str() == "pool").unwrap();
    assert!(there.root.children.iter().any(|place| place.name == "agents" && !place.children.is_empty()));
    assert_eq!(door.machine.tree(Scope::Node).nodes.len(), 1);
    let nodes = pool.machine.nodes().await.unwrap();
    assert!(nodes.iter().all(|node| node.reachable && node.lease_alive == Some(true)), "{nodes:?}");

    // Who waits at one node hears of an end at the other.
    let told = door.invoke("a", "told").await;
    assert!(door.machine.wait(told, secs(10)).await.unwrap().status.is_final());
    // A goodbye takes a node out at once.
    pool.stop().await;
    door.until("the pool to be gone", || door.machine.tree(Scope::Cluster).nodes.len() == 1).await;
    assert_eq!(status(&door, "a", "door"), Some(AgentStatus::Unavailable));
    door.stop().await;
}

#[tokio::test(start_paused = true)]
async fn verbs_reach_an_agent_wherever_it_runs_and_a_pause_outlives_its_node() {
    let world = World::default();
    let (door, pool) = (world.node("door", "gateway,orchestrator"), world.node("pool", "autonomous"));
    let agents = [agent("a", "")];
    let (door, up) = (door.open(&agents).await, pool.open(&agents).await);
    sees(&door, "a", "pool", AgentStatus::Idle).await;
    door.pause("a").await;
    up.agent_is("a", "paused").await;
    sees(&door, "a", "pool", AgentStatus::Paused).await;
    up.stop().await;

    let up = pool.open(&agents).await;
    let waits = door.invoke("a", "waits").await;
    sees(&door, "a", "pool", AgentStatus::Paused).await;
    up.pass(secs(60)).await;
    assert_eq!(world.model.times("waits"), 0, "a restarted node holds it back as before");
    door.resume("a").await;
    assert_eq!(door.ended(waits).await.status.as_str(), "succeeded");
    door.restart("a").await;

    // A call that is under way elsewhere is aborted, and not only fenced.
    let gate = Gate::default();
    world.model.plays(move |_| Act::Wait(gate.clone()));
    let held = door.invoke("a", "held").await;
    door.until("the work", || world.model.times("held") == 1).await;
    door.machine.cancel(held).await.unwrap();
    up.agent_is("a", "idle").await;
    up.stop().await;
    door.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_from_the_store_loses_its_work_to_the_other_once() {
    let world = World::default();
    let (left, right) = (world.node("left", "all"), world.node("right", "all"));
    let agents = [agent("a", "concurrency: 1")];
    let gate = Gate::default();
    let shut = gate.clone();
    world.model.plays(move |asked| match asked.before {
        0 => Act::Wait(shut.clone()),
        _ => Act::Say("taken over".into()),
    });
    let one = left.open(&agents).await;
    let work = one.invoke("a", "work").await;
    one.until("the work", || world.model.times("work") == 1).await;
    let other = right.open(&agents).await;
    other.pass(secs(5)).await;
    left.state.faults.unavailable(true);
    let cut = tokio::time::Instant::now();
    let taken = other.ended(work).await;
    assert!(cut.elapsed() < secs(5), "it took {:?} to be taken over", cut.elapsed());
    assert_eq!((taken.node.as_ref().unwrap().as_str(), taken.crashes), ("right", 1));
    assert_eq!(taken.output, Some("taken over".into()));
    // The one that was cut off hears its answer, and finds when the store is back that the work is another's.
    gate.open();
    one.pass(secs(5)).await;
    left.state.faults.unavailable(false);
    one.until("the cut-off node to stop", || one.machine.at_work() == 0).await;
    one.pass(secs(30)).await;
    let after = one.ended(work).await;
    assert_eq!((after.node, after.output, after.epoch), (taken.node, taken.output, taken.epoch));
    assert_eq!(world.model.times("work"), 2);
    assert_eq!(one.view("a").unwrap().restarts, 0, "the agent is none the worse for it");
    one.stop().await;
    other.stop().await;
}

#[tokio::test(start_paused = true)]
async fn when_the_store_was_away_from_all_each_keeps_its_work_and_pays_for_nothing_twice() {
    let world = World::default();
    let (left, right) = (world.node("left", "all"), world.node("right", "all"));
    let agents = [agent("a", "")];
    let gate = Gate::default();
    let shut = gate.clone();
    world.model.plays(move |_| Act::Wait(shut.clone()));
    let (one, other) = (left.open(&agents).await, right.open(&agents).await);
    let work: Vec<_> = [one.invoke("a", "one").await, one.invoke("a", "two").await].into();
    one.until("the work", || world.model.times("one") + world.model.times("two") == 2).await;
    one.pass(secs(10)).await;
    left.state.faults.unavailable(true);
    right.state.faults.unavailable(true);
    // The calls return while nothing can be written down, and the leases run out.
    gate.open();
    one.pass(secs(20)).await;
    // Whoever comes back first does not take the other for dead.
    right.state.faults.unavailable(false);
    other.pass(secs(3)).await;
    left.state.faults.unavailable(false);
    for execution in work {
        let ended = one.ended(execution).await;
        assert_eq!((ended.status.as_str(), ended.crashes, ended.epoch), ("succeeded", 0, 1));
    }
    assert_eq!((world.model.times("one"), world.model.times("two")), (1, 1), "a finished call is not made again");
    one.stop().await;
    other.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_hands_its_work_over_at_once() {
    let world = World::default();
    let (left, right) = (world.node("left", "all"), world.node("right", "all"));
    let agents = [agent("a", "concurrency: 1")];
    world.model.plays(|asked| match asked.before {
        0 => Act::Silent,
        _ => Act::Say("handed over".into()),
    });
    let one = left.open(&agents).await;
    let work = one.invoke("a", "work").await;
    one.until("the work", || world.model.times("work") == 1).await;
    let other = right.open(&agents).await;
    other.agent_is("a", "idle").await;
    // What does not finish within the grace is given back, not left to its lease.
    let closed = one.stop().await;
    assert_eq!(closed.given_back, 1);
    let gone = tokio::time::Instant::now();
    let ended = other.ended(work).await;
    assert!(gone.elapsed() < Duration::from_secs(2), "{:?}", gone.elapsed());
    assert_eq!((ended.crashes, ended.node.unwrap().as_str()), (0, "right"));
    other.stop().await;
}
