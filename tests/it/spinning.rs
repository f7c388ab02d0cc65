//! Executions that do not give their thread back, and ones that fall silent.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use kit::{
    model::{Gate, ModelServer, Reply},
    node::{Home, Node},
    wait,
};

use crate::cast::{SOON, agent, saying, scripted};

/// Longer than any story: an endless loop, as far as it can tell.
const ENDLESS: &str = "[{when: spin, spin: 60s}, {reply: well}]";
const QUICK: &str = "concurrency: 4\n\
    supervision: {max_restarts: 20, backoff: {min: 10ms, max: 20ms}}";

#[tokio::test]
async fn a_loop_is_fenced_within_five_seconds_and_a_replacement_serves() {
    let home = Home::new();
    home.agent("dizzy", &scripted("dizzy", ENDLESS, QUICK)).agent("calm", &saying("calm", "calm"));
    let node = home.launch().start().await;
    let begun = Instant::now();
    node.submit("dizzy", "spin").await;
    let fenced = wait::seen("the loop to be fenced", SOON, async || {
        let failures = json!(node.places_of("dizzy").await).to_string();
        if quarantined(&node).await >= 1 && failures.contains("cpu_bound") { Ok(failures) } else { Err(failures) }
    })
    .await;
    // By the node's own clock, so that a slow test machine is not blamed on it.
    let held = held_for(&fenced);
    assert!(held > 0.0 && held <= 5.0, "it was fenced after {held} s");
    assert_eq!(node.ask("dizzy", "hello").await.json["output"], "well");
    // Long before the loop ends by itself.
    assert!(begun.elapsed() < Duration::from_secs(40), "the replacement served after {:?}", begun.elapsed());
    assert_eq!(node.ask("calm", "hello").await.json["output"], "calm");
    assert_eq!(node.agent("calm").await["restarts"], 0);
    let failures = json!(node.places_of("dizzy").await).to_string();
    assert!(failures.contains("cpu_bound"), "the tree says why: {failures}");
}

#[tokio::test]
async fn what_a_fenced_loop_brings_late_is_thrown_away_and_its_event_ends_as_poison() {
    let home = Home::new();
    home.agent("dizzy", &scripted("dizzy", "[{when: spin, spin: 6s, reply: late}, {reply: well}]", QUICK));
    let node = home.launch().start().await;
    let id = node.submit("dizzy", "spin").await;
    let limit = SOON;
    let execution = node.execution_is(&id, &["failed", "dead", "succeeded"], limit).await;
    assert_ne!(execution["status"], "succeeded", "a fenced result counted: {execution}");
    assert_eq!(execution["crashes"], 3, "{execution}");
    wait::seen("every thread to come back", limit, async || match quarantined(&node).await {
        0 => Ok(()),
        left => Err(format!("{left} are fenced")),
    })
    .await;
    assert_ne!(node.execution(&id).await["status"], "succeeded", "what came late changed nothing");
    assert_eq!(node.ask("dizzy", "hello").await.json["output"], "well");
}

#[tokio::test]
async fn a_silent_call_is_given_up_at_its_limit_and_its_event_done_once_more() {
    let (model, home, gate) = (ModelServer::start().await, Home::new(), Gate::closed());
    model.then(Reply::text("never").held_by(&gate)).then(Reply::text("here I am"));
    let limits = "limits: {silence: 1s, max_attempts: 2, retry: {min: 10ms, max: 20ms}}";
    home.agent("quiet", &agent("quiet", &model, limits));
    let node = home.launch().start().await;
    let begun = Instant::now();
    let answer = node.ask("quiet", "hello?").await;
    assert_eq!(answer.json["output"], "here I am", "{}", answer.text);
    assert!(begun.elapsed() < Duration::from_secs(60), "it took {:?}", begun.elapsed());
    assert_eq!(model.calls(), 2, "once, and once more");
}

#[tokio::test]
async fn a_node_that_lost_too_many_threads_ends_with_70_and_nothing_is_lost() {
    let home = Home::new();
    home.agent("dizzy", &scripted("dizzy", ENDLESS, QUICK)).agent("calm", &saying("calm", "calm"));
    let mut node = home.launch().env("GREENROOM_SHUTDOWN_GRACE", "6s").start().await;
    let mut accepted = Vec::new();
    for _ in 0..4 {
        accepted.push(node.submit("dizzy", "spin").await);
    }
    accepted.push(node.submit("calm", "hello").await);
    // As an orchestrator would: started again for as long as it ends so. Each time counts as a crash of what spun.
    for life in 1.. {
        // Four events, three crashes each, are at most twelve lives: on a busy machine not every life loses all four.
        assert!(life <= 12, "it does not come to rest");
        let ended = wait::seen("the node to end, or its work", SOON, async || {
            if let Some(status) = node.process.ended() {
                return Ok(Some(status));
            }
            match unfinished(&node, &accepted).await {
                Some(left) if left.is_empty() => Ok(None),
                left => Err(format!("{left:?}")),
            }
        })
        .await;
        let Some(status) = ended else {
            assert!(life > 1, "it was not overwhelmed");
            break;
        };
        assert_eq!(status.code(), Some(70), "{}", node.process.output());
        node = home.launch().env("GREENROOM_SHUTDOWN_GRACE", "6s").start().await;
    }
    assert_eq!(node.ask("dizzy", "hello").await.json["output"], "well");
}

#[tokio::test]
async fn a_stop_with_all_kinds_of_agents_ends_in_time_names_them_and_loses_nothing() {
    let (model, home) = (ModelServer::start().await, Home::new());
    let (soon, never) = (Gate::closed(), Gate::closed());
    let (slow, silent) = (soon.clone(), never.clone());
    model.rule(move |asked| match asked.question().contains("work") {
        true => Reply::text("worked").held_by(&slow),
        false => Reply::text("awake").held_by(&silent),
    });
    home.agent("idle", &saying("idle", "idle"));
    home.agent("busy", &agent("busy", &model, "")).agent("hung", &agent("hung", &model, ""));
    home.agent("dizzy", &scripted("dizzy", ENDLESS, QUICK));
    let mut node = home.launch().env("GREENROOM_SHUTDOWN_GRACE", "12s").start().await;
    let done = node.submit("idle", "hello").await;
    node.execution_is(&done, &["succeeded"], SOON).await;
    let (busy, hung) = (node.submit("busy", "work").await, node.submit("hung", "hello").await);
    model.wait_for_calls(2).await;
    let dizzy = node.submit("dizzy", "spin").await;
    node.execution_is(&dizzy, &["running"], SOON).await;

    let asked = Instant::now();
    node.process.terminate();
    wait::seen("the stopping node to name who is still at work", SOON, async || {
        let health = node.get("/health").await.text;
        if health.contains("hung (1)") && health.contains("busy (1)") { Ok(()) } else { Err(health) }
    })
    .await;
    assert_eq!(node.get("/health/ready").await.status, 503);
    soon.open();
    wait::seen("the one that works to have finished, by the tree", SOON, async || {
        let health = node.get("/health").await.text;
        if health.contains("hung (1)") && !health.contains("busy (1)") { Ok(()) } else { Err(health) }
    })
    .await;
    let status = node.process.exit(Duration::from_secs(30)).await;
    assert!(asked.elapsed() < Duration::from_secs(30), "it took {:?}", asked.elapsed());
    assert_eq!(status.code(), Some(1), "something had to be aborted: {}", node.process.output());

    never.open();
    let node = home.launch().start().await;
    assert_eq!(node.execution(&busy).await["status"], "succeeded", "it had finished before the end");
    node.execution_is(&hung, &["succeeded"], SOON).await;
    let dizzy = node.execution_is(&dizzy, &["failed", "dead"], SOON).await;
    assert_eq!(dizzy["crashes"], 3, "that the node stopped was no crash of its own: {dizzy}");
}

/// How many of the tasks of `dizzy` are fenced and left behind.
async fn quarantined(node: &Node) -> u64 {
    let place = node.places(|place| place["id"] == "agents/dizzy").await.pop().unwrap_or_default();
    place["quarantined"].as_u64().unwrap_or_default()
}

/// The seconds for which a task had its thread when it was last dealt with, as the tree says it.
fn held_for(failures: &str) -> f64 {
    let (_, after) = failures.split_once("it has held its thread for ").unwrap_or_default();
    let number: String = after.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    number.parse().unwrap_or_default()
}

/// Those that have not come to their end; `None` when the node does not say.
async fn unfinished(node: &Node, accepted: &[String]) -> Option<Vec<String>> {
    let mut left = Vec::new();
    for id in accepted {
        let execution: Value = node.try_get(&format!("/v1/executions/{id}")).await.ok()?.json;
        if !["succeeded", "failed", "dead"].iter().any(|status| execution["status"] == *status) {
            left.push(id.clone());
        }
    }
    Some(left)
}
