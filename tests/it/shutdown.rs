//! An orderly stop: nothing is lost, nothing is left running.

use std::time::{Duration, Instant};

use kit::{
    model::{Gate, ModelServer, Reply},
    node::Home,
    wait,
};

use crate::cast::{SOON, agent, saying};

/// What a stopping node gives its work. Who waits for nothing is gone before that, on the busiest machine.
const GRACE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn an_idle_node_stops_at_once_and_cleanly() {
    let home = Home::new();
    home.agent("calm", &saying("calm", "calm"));
    let node = home.launch().start().await;
    node.ask("calm", "hello").await;
    let asked = Instant::now();
    assert!(node.stop().await.success());
    assert!(asked.elapsed() < GRACE, "it took {:?}", asked.elapsed());
}

#[tokio::test]
async fn a_stopping_node_finishes_its_runs_and_takes_no_more() {
    let (model, home, gate) = (ModelServer::start().await, Home::new(), Gate::closed());
    let held = gate.clone();
    model.rule(move |_| Reply::text("finished").held_by(&held));
    home.agent("busy", &agent("busy", &model, "concurrency: 1"));
    let mut node = home.launch().start().await;
    let running = node.submit("busy", "first").await;
    let waiting = node.submit("busy", "second").await;
    model.wait_for_calls(1).await;

    node.process.terminate();
    wait::until("the node to be no longer ready", SOON, async || {
        node.try_get("/health/ready").await.map_or(true, |answer| answer.status == 503)
    })
    .await;
    gate.open();
    assert!(node.process.exit(SOON).await.success());

    // The first one was finished by the stopping node; the second waited and is done by the next.
    let calls = model.calls();
    let node = home.launch().start().await;
    let first = node.execution(&running).await;
    assert_eq!((&first["status"], &first["crashes"]), (&"succeeded".into(), &0.into()), "{first}");
    node.execution_is(&waiting, &["succeeded"], SOON).await;
    assert!(model.calls() <= calls + 1, "no call was made twice");
}

#[tokio::test]
async fn a_second_signal_stops_at_once_and_the_work_is_resumed_later() {
    let (model, home, gate) = (ModelServer::start().await, Home::new(), Gate::closed());
    let held = gate.clone();
    model.rule(move |_| Reply::text("finished").held_by(&held));
    home.agent("busy", &agent("busy", &model, ""));
    let mut node = home.launch().start().await;
    let id = node.submit("busy", "hm").await;
    model.wait_for_calls(1).await;
    node.process.terminate();
    wait::until("the stop to have begun", SOON, async || {
        node.try_get("/health/ready").await.map_or(true, |answer| answer.status == 503)
    })
    .await;
    let again = Instant::now();
    node.process.terminate();
    let status = node.process.exit(SOON).await;
    assert!(!status.success(), "an aborted stop tells so by its exit code");
    assert!(again.elapsed() < GRACE, "it took {:?}", again.elapsed());
    gate.open();
    let node = home.launch().start().await;
    node.execution_is(&id, &["succeeded"], SOON).await;
}
