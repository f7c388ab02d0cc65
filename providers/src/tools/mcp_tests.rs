//! What a tool server does in the course of its life: slow starts, progress, calls that are given up, its end.

use std::{sync::Arc, time::Duration};

use greenroom_config::{Environment, spec::ToolConfig};
use greenroom_contract::{
    NodeId,
    clock::SystemClock,
    execution::Effect,
    port::tool::{Call, Error, Toolset},
    status::AgentStatus,
    tree::Table,
};
use serde_json::{Value, json};

use super::{
    Toolshed,
    tests::{call, is_alive, names, opened, said, server, try_open, until},
};

#[tokio::test]
async fn a_server_that_ignores_the_newer_lifecycle_is_not_waited_for_ten_seconds() {
    // The SDK alone would wait for 10 s.
    let set = opened(json!([server(json!({ "args": ["--deaf"], "start_timeout": "9s" }))])).await;
    assert_eq!(said(&set, "echo", json!({ "text": "hello" })).await, "hello");
    set.close().await;
}

#[tokio::test]
async fn a_server_that_is_slow_to_say_what_it_speaks_is_understood() {
    let set = opened(json!([server(json!({ "args": ["--late"], "start_timeout": "30s" }))])).await;
    assert_eq!(said(&set, "echo", json!({ "text": "hello" })).await, "hello");
    set.close().await;
}

#[tokio::test]
async fn progress_is_a_sign_of_life_and_silence_is_not() {
    let set = opened(json!([server(json!({}))])).await;
    let impatient =
        |steps, ms| Call { timeout: Duration::from_millis(500), ..call("work", json!({ "steps": steps, "ms": ms })) };
    // Twice as long in all as it may be silent.
    let busy = impatient(10, 100);
    let life = busy.life.clone();
    assert_eq!(set.call(busy).await.unwrap().content, "worked");
    life.heard().await;
    let silent = set.call(impatient(1, 60_000)).await.unwrap_err();
    assert!(matches!(silent, Error::OutcomeUnknown { .. }), "{silent}");
    set.close().await;
}

#[tokio::test]
async fn a_tool_with_its_own_patience_is_waited_for() {
    let set = opened(json!([server(json!({ "timeouts": { "sl*": "20s" } }))])).await;
    let patient = Call { timeout: Duration::from_millis(100), ..call("slow", json!({ "ms": 500 })) };
    let life = patient.life.clone();
    assert_eq!(set.call(patient).await.unwrap().content, "done");
    life.heard().await;
    set.close().await;
}

#[tokio::test]
async fn a_call_that_is_given_up_is_called_off() {
    let set = opened(json!([server(json!({}))])).await;
    let late = Call { timeout: Duration::from_millis(100), ..call("slow", json!({ "ms": 60_000 })) };
    set.call(late).await.unwrap_err();
    called_off(&set, "1").await;
    // Whoever waited is gone, which is what happens when an execution is cancelled.
    drop(tokio::time::timeout(Duration::from_millis(100), set.call(call("slow", json!({ "ms": 60_000 })))).await);
    called_off(&set, "2").await;
    set.close().await;
}

async fn called_off(set: &Arc<dyn Toolset>, expected: &str) {
    let limit = tokio::time::Instant::now() + Duration::from_secs(10);
    while said(set, "cancelled", json!({})).await != expected {
        assert!(tokio::time::Instant::now() < limit, "the server was not told");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn answers_are_cut_to_measure_and_pictures_and_structures_come_through() {
    let set = opened(json!([server(json!({ "max_output_bytes": 1000 }))])).await;
    let big = said(&set, "big", json!({ "bytes": 5000 })).await;
    assert!(
        big.starts_with(&"b".repeat(1000)) && big.ends_with("[cut here: 5000 bytes in all, of which 1000 are shown]")
    );
    let picture = set.call(call("picture", json!({}))).await.unwrap();
    assert_eq!((picture.images.len(), picture.images[0].media_type.as_str()), (1, "image/png"));
    assert_eq!(said(&set, "structured", json!({})).await, r#"{"answer":42}"#);
    set.close().await;
}

#[tokio::test]
async fn one_tool_s_effect_is_said_apart() {
    let effects = json!({ "effect": "keyed", "effects": { "ec*": "at_most_once" }, "allow": ["echo", "add"] });
    let set = opened(json!([server(effects)])).await;
    let effects: Vec<_> = set.list().into_iter().map(|tool| tool.effect).collect();
    assert_eq!(effects, [Effect::AtMostOnce, Effect::Keyed]);
    set.close().await;
}

#[tokio::test]
async fn closing_ends_a_server_in_the_middle_of_a_call() {
    let set = opened(json!([server(json!({}))])).await;
    let pid = said(&set, "pid", json!({})).await;
    let (late, ()) = tokio::join!(set.call(call("slow", json!({ "ms": 60_000 }))), async {
        set.close().await;
        assert!(!is_alive(&pid), "it is gone when closing is over");
    });
    assert!(matches!(late, Err(Error::OutcomeUnknown { .. })), "{late:?}");
}

#[tokio::test]
async fn what_a_server_started_ends_with_it() {
    for close in [true, false] {
        let set = opened(json!([server(json!({}))])).await;
        let grandchild = said(&set, "spawn", json!({})).await;
        assert!(is_alive(&grandchild));
        if close {
            set.close().await;
        }
        drop(set);
        until("the grandchild is gone", || !is_alive(&grandchild)).await;
    }
}

fn shed(table: Option<Table>) -> Toolshed {
    Toolshed::new(Environment::from_pairs([("PATH", "/usr/bin:/bin")]), Arc::new(SystemClock), table)
}

async fn open_for(shed: &Toolshed, agent: &str, tools: Value) -> Arc<dyn Toolset> {
    let tools: Vec<ToolConfig> = serde_json::from_value(tools).unwrap();
    shed.open(&agent.parse().unwrap(), &tools).await.unwrap()
}

#[tokio::test]
async fn agents_share_a_server_only_if_they_say_so_and_it_ends_with_the_last_of_them() {
    let shed = shed(None);
    let shared = |allow: &str| json!([server(json!({ "shared": true, "allow": ["pid", allow] }))]);
    let (one, other) = tokio::join!(open_for(&shed, "one", shared("echo")), open_for(&shed, "other", shared("add")));
    let pid = said(&one, "pid", json!({})).await;
    assert_eq!(said(&other, "pid", json!({})).await, pid);
    assert_eq!((names(&one), names(&other)), (vec!["echo".into(), "pid".into()], vec!["add".into(), "pid".into()]));
    let own = open_for(&shed, "third", json!([server(json!({}))])).await;
    assert_ne!(said(&own, "pid", json!({})).await, pid);

    one.close().await;
    assert!(matches!(one.call(call("pid", json!({}))).await, Err(Error::Unavailable { .. })));
    assert_eq!(said(&other, "pid", json!({})).await, pid);
    other.close().await;
    assert!(!is_alive(&pid));
    let again = open_for(&shed, "one", shared("echo")).await;
    assert_ne!(said(&again, "pid", json!({})).await, pid);
    again.close().await;
    own.close().await;
}

#[tokio::test]
async fn who_waits_for_a_shared_server_is_told_with_the_others_that_it_does_not_start() {
    let table = Table::new(&NodeId::new("n"));
    let shed = shed(Some(table.clone()));
    let tools: Vec<ToolConfig> =
        serde_json::from_value(json!([server(json!({ "shared": true, "args": ["--fail"] }))])).unwrap();
    let open = async |agent: &str| shed.open(&agent.parse().unwrap(), &tools).await.err().unwrap();
    let starts = || table.places_under("mcp").iter().map(|place| place.generation).sum::<u32>();
    let (one, other, third) = tokio::join!(open("one"), open("other"), open("third"));
    assert!(one.reason.contains("exit status: 3"), "{one}");
    assert_eq!((&one, &one), (&other, &third));
    assert_eq!(starts(), 1, "it was started for all of them");
    open("later").await;
    assert_eq!(starts(), 2, "who comes afterwards has it tried again");
}

#[tokio::test]
async fn a_server_has_a_place_in_the_tree_that_tells_how_it_is_and_why() {
    let table = Table::new(&NodeId::new("n"));
    let set = open_for(&shed(Some(table.clone())), "helper", json!([server(json!({}))])).await;
    let place = || table.place("agents/helper/mcp/mcp_stub").unwrap();
    assert_eq!((place().kind.as_str(), place().status, place().restarts), ("tool_server", AgentStatus::Running, 0));
    set.call(call("crash", json!({}))).await.unwrap_err();
    until("the server is down", || place().status == AgentStatus::Restarting).await;
    assert!(place().failures[0].failure.message.contains("exit status: 7"), "{:?}", place().failures);
    until("the server is back", || place().status == AgentStatus::Running).await;
    assert_eq!(place().restarts, 1);
    set.close().await;
    assert_eq!(place().status, AgentStatus::Stopped);
}

#[tokio::test]
async fn what_a_program_complains_of_is_told_without_its_secrets() {
    let tools = json!([server(json!({ "args": ["--tell", "TOKEN"], "env_from": { "TOKEN": "OURS" } }))]);
    let unusable = try_open(tools, &[("OURS", "canary-of-a-program")]).await.err().unwrap();
    assert!(unusable.reason.contains("it said:") && unusable.reason.contains("this is no good: ***"), "{unusable}");
    assert!(!format!("{unusable} {unusable:?}").contains("canary"));
}
