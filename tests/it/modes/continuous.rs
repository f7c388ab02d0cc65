//! Continuous agents, R6.

use std::{collections::BTreeSet, time::Duration};

use kit::{
    model::{Gate, ModelServer, Reply},
    wait,
};
use serde_json::{Value, json};

use super::ground::conversation;
use crate::{cast::agent, ground::Ground};

/// A cluster's nodes start one after the other, and a dead one's work is taken over after some seconds.
const WHILE: Duration = wait::PATIENCE;

fn continuous(name: &str, model: &ModelServer, more: &str) -> String {
    agent(name, model, more).replace("execution_mode: autonomous", "execution_mode: continuous")
}

pub(super) async fn r6_1_events_are_handled_in_order_one_at_a_time_at_one_node_and_another_takes_over(ground: Ground) {
    let (model, gate) = (ModelServer::start().await, Gate::closed());
    let held = gate.clone();
    model.rule(move |asked| match asked.question().as_str() {
        "7" => Reply::text("re: 7").held_by(&held),
        other => Reply::text(format!("re: {other}")),
    });
    ground.home().agent("talker", &continuous("talker", &model, ""));
    let mut running = ground.start().await;
    let mut given = Vec::new();
    for number in 0..15 {
        given.push(running.door().submit("talker", &number.to_string()).await);
    }
    model.wait_for_calls(8).await;
    let first = running.door().execution_is(&given[7], &["running"], WHILE).await;
    assert_eq!(running.door().execution(&given[8]).await["status"], "queued", "one at a time");
    running.kill_who_has(&given[7]).await;
    gate.open();
    let mut nodes = Vec::new();
    for id in &given {
        nodes.push(running.door().execution_is(id, &["succeeded"], WHILE).await["node"].clone());
    }
    let distinct: BTreeSet<String> = nodes[7..].iter().map(Value::to_string).collect();
    assert_eq!(distinct.len(), 1, "one node after the other: {nodes:?}");
    assert!(nodes[..7].iter().all(|node| *node == first["node"]), "{nodes:?}");
    assert_eq!(nodes[7] != first["node"], ground.workers() > 1, "another node takes over: {nodes:?}");
    // The call in flight is made again, everything else once, in order.
    let questions: Vec<String> = model.asked().iter().map(|asked| asked.question()).collect();
    let mut wanted: Vec<String> = (0..15).map(|number| number.to_string()).collect();
    wanted.insert(7, "7".to_owned());
    assert_eq!(questions, wanted);
    let last = conversation(&model.asked().last().unwrap().body);
    let exact: Vec<String> = (0..14).flat_map(|number| [number.to_string(), format!("re: {number}")]).collect();
    assert_eq!(last, [exact, vec!["14".to_owned()]].concat(), "no gap, no repeat");
    running.stop().await;
}

pub(super) async fn r6_2_3_state_is_loaded_before_and_saved_with_the_result_of_each_event(ground: Ground) {
    let model = ModelServer::start().await;
    model.rule(|asked| Reply::text(format!("re: {}", asked.question())));
    ground.home().agent("talker", &continuous("talker", &model, ""));
    ground.home().agent("listener", &agent("listener", &model, "subscriptions: [agent.output.talker]"));
    let mut running = ground.start().await;
    let first = running.door().ask("talker", "one").await.str("/execution_id");
    // An execution that ended is no reason to be gentle: whatever was told is in the store.
    running.kill_who_has(&first).await;
    running.door().ask("talker", "two").await;
    let asked = model.asked().into_iter().rfind(|asked| asked.question() == "two").unwrap();
    assert_eq!(conversation(&asked.body), ["one", "re: one", "two"]);
    let state = running.door().get("/v1/agents/talker/state").await.expect(200).json;
    assert_eq!(
        (&state["version"], &state["messages"]),
        (&json!(2), &json!(4)),
        "two messages and a version for each event"
    );
    wait::seen("both results on the output topic", WHILE, async || {
        let mut heard = BTreeSet::new();
        for one in running.door().executions("listener").await {
            let input =
                running.door().execution(one["execution_id"].as_str().unwrap_or_default()).await["input"].clone();
            heard.insert(input["output"].as_str().unwrap_or_default().to_owned());
        }
        let wanted = BTreeSet::from(["re: one".to_owned(), "re: two".to_owned()]);
        if heard == wanted { Ok(()) } else { Err(format!("{heard:?}")) }
    })
    .await;
    running.stop().await;
}

pub(super) async fn r6_4_after_a_crash_it_goes_on_at_the_unfinished_step(ground: Ground) {
    let (model, gate) = (ModelServer::start().await, Gate::closed());
    let held = gate.clone();
    model.rule(move |asked| match (asked.question().as_str(), asked.tool_results().is_empty()) {
        ("look", true) => Reply::tool("lookup_ticket", json!({ "id": "7" })),
        ("look", false) => Reply::text("found").held_by(&held),
        (other, _) => Reply::text(format!("re: {other}")),
    });
    let tool = ground.home().mcp_tool("at_most_once");
    ground.home().agent("talker", &continuous("talker", &model, &format!("tools:\n{tool}")));
    let mut running = ground.start().await;
    running.door().ask("talker", "before").await;
    let id = running.door().submit("talker", "look").await;
    let after = running.door().submit("talker", "after").await;
    model.wait_for_calls(3).await;
    running.kill_who_has(&id).await;
    gate.open();
    let ended = running.door().execution_is(&id, &["succeeded"], WHILE).await;
    running.door().execution_is(&after, &["succeeded"], WHILE).await;
    assert_eq!((&ended["output"], &ended["crashes"], &ended["attempt"]), (&json!("found"), &json!(1), &json!(1)));
    assert_eq!(ground.home().tool_calls().len(), 1, "a finished call is not made again");
    let asked = model.asked();
    assert_eq!(
        asked.iter().filter(|asked| asked.question() == "look").count(),
        3,
        "one of them twice: it was in flight"
    );
    let last = conversation(&asked.last().unwrap().body);
    assert_eq!(
        (last.len(), last[0].as_str(), last.last().map(String::as_str)),
        (7, "before", Some("after")),
        "{last:?}"
    );
    running.stop().await;
}

pub(super) async fn r6_5_an_idle_agent_leaves_memory_and_the_next_event_brings_it_back(ground: Ground) {
    let model = ModelServer::start().await;
    model.rule(|asked| Reply::text(format!("re: {}", asked.question())));
    ground.home().agent("talker", &continuous("talker", &model, "idle: {flush_after: 1s}"));
    let running = ground.start().await;
    running.door().ask("talker", "one").await;
    wait::seen("the agent to sleep", WHILE, async || {
        let shown = running.door().agent("talker").await;
        let here = running.door().places_of("talker").await;
        let instances = here.iter().filter(|place| place["kind"] == "instance" && place["status"] != "stopped").count();
        if shown["passivated"] == true && instances == 0 { Ok(()) } else { Err(format!("{shown} {here:?}")) }
    })
    .await;
    running.door().ask("talker", "two").await;
    assert_eq!(conversation(&model.asked().last().unwrap().body), ["one", "re: one", "two"]);
    running.stop().await;
}

pub(super) async fn r6_6_a_long_conversation_is_kept_within_its_policy(ground: Ground) {
    let model = ModelServer::start().await;
    model.rule(|asked| {
        let sums_up =
            asked.body["messages"][0]["content"].as_str().is_some_and(|text| text.starts_with("You keep the notes"));
        if sums_up { Reply::text("they counted") } else { Reply::text(format!("re: {}", asked.question())) }
    });
    let more = "limits: {history: 8}\nconversation: {policy: summary, pinned: [Always add up.]}";
    ground.home().agent("sums", &continuous("sums", &model, more));
    ground.home().agent("window", &continuous("window", &model, "limits: {history: 8}"));
    let running = ground.start().await;
    for number in 0..14 {
        for name in ["sums", "window"] {
            running.door().ask(name, &format!("{name} {number}")).await;
        }
    }
    let asked = model.asked();
    let last = |name: &str| asked.iter().rfind(|asked| asked.question().starts_with(name)).unwrap().body.clone();
    let prompt = last("sums")["messages"][0]["content"].as_str().unwrap_or_default().to_owned();
    assert!(prompt.contains("- Always add up.") && prompt.ends_with("they counted"), "{prompt}");
    assert!(conversation(&last("sums")).len() <= 9);
    assert_eq!(conversation(&last("window")).len(), 9);
    assert!(asked.len() < 14 * 2 + 10, "not with each event: {} calls", asked.len());
    running.stop().await;
}
