//! Toolsets with real tool servers: the stub program, which cargo builds beside the tests.

use std::{path::PathBuf, sync::Arc, time::Duration};

use greenroom_config::{Environment, spec::ToolConfig};
use greenroom_contract::{
    clock::SystemClock,
    execution::Effect,
    id::{ExecutionId, TraceId},
    port::{
        memory::Mind,
        tool::{Answer, Call, Error, Life, Toolset},
    },
};
use serde_json::{Value, json};

use super::Toolshed;
use crate::Unusable;

fn stub() -> String {
    let deps: PathBuf = std::env::current_exe().unwrap();
    let stub = deps.ancestors().nth(2).unwrap().join("examples").join("mcp_stub");
    assert!(stub.exists(), "build it: cargo build -p greenroom-providers --example mcp_stub");
    stub.to_str().unwrap().to_owned()
}

pub(super) fn server(more: Value) -> Value {
    let mut server = json!({ "command": stub(), "start_timeout": "5s" });
    server.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "mcp": server })
}

pub(super) async fn try_open(tools: Value, env: &[(&str, &str)]) -> Result<Arc<dyn Toolset>, Unusable> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let tools: Vec<ToolConfig> = serde_json::from_value(tools).unwrap();
    let env = Environment::from_pairs(env.iter().copied());
    Toolshed::new(env, Arc::new(SystemClock), None).open(&"tester".parse().unwrap(), &tools).await
}

pub(super) async fn opened(tools: Value) -> Arc<dyn Toolset> {
    try_open(tools, &[]).await.unwrap()
}

pub(super) fn call(name: &str, input: Value) -> Call {
    Call {
        name: name.to_owned(),
        input,
        idempotency_key: "key-1".to_owned(),
        agent: "tester".parse().unwrap(),
        execution: ExecutionId::new(),
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".parse::<TraceId>().unwrap(),
        timeout: Duration::from_secs(5),
        life: Life::default(),
        mind: Mind::default(),
    }
}

pub(super) async fn said(set: &Arc<dyn Toolset>, name: &str, input: Value) -> String {
    let Answer { content, is_error, .. } = set.call(call(name, input)).await.unwrap();
    assert!(!is_error, "{name} failed: {content}");
    content
}

pub(super) fn names(set: &Arc<dyn Toolset>) -> Vec<String> {
    set.list().into_iter().map(|spec| spec.name).collect()
}

/// Waits for a state of the world, with a limit and its name in the failure.
pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = tokio::time::Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(tokio::time::Instant::now() < limit, "waited 10 s for this: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(super) fn is_alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn tools_are_listed_filtered_and_called() {
    let set = opened(json!([{ "builtin": "current_time" }, server(json!({ "allow": ["e*", "add"] }))])).await;
    assert_eq!(names(&set), ["current_time", "echo", "add"]);
    let effects: Vec<Effect> = set.list().into_iter().map(|spec| spec.effect).collect();
    assert_eq!(effects, [Effect::None, Effect::None, Effect::Idempotent]);
    assert_eq!(said(&set, "add", json!({ "a": 2, "b": 3 })).await, "5");
    assert!(said(&set, "current_time", json!({})).await.contains("UTC"));
    let wrong = set.call(call("add", json!({ "a": "x" }))).await.unwrap();
    assert!(wrong.is_error && wrong.content.contains("numbers"));
    let hidden = set.call(call("crash", json!({}))).await.unwrap_err();
    assert!(matches!(hidden, Error::Unknown { .. }), "a tool that is not allowed cannot be called");
    set.close().await;
}

#[tokio::test]
async fn both_lifecycles_are_spoken_and_a_call_carries_its_key_and_trace() {
    for arguments in [json!([]), json!(["--stateless"])] {
        let set = opened(json!([server(json!({ "args": arguments, "effect": "keyed" }))])).await;
        assert!(set.list().iter().all(|spec| spec.effect == Effect::Keyed));
        let meta: Value = serde_json::from_str(&said(&set, "meta", json!({})).await).unwrap();
        assert_eq!(meta["greenroom/idempotency-key"], "key-1");
        assert!(meta["traceparent"].as_str().unwrap().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        set.close().await;
    }
}

#[tokio::test]
async fn a_tool_that_appears_is_listed() {
    let set = opened(json!([server(json!({}))])).await;
    assert!(!names(&set).contains(&"grown".to_owned()));
    said(&set, "grow", json!({})).await;
    until("the new tool is listed", || names(&set).contains(&"grown".to_owned())).await;
    set.close().await;
}

#[tokio::test]
async fn a_dead_server_takes_its_tools_away_and_brings_them_back() {
    let set = opened(json!([{ "builtin": "current_time" }, server(json!({}))])).await;
    let first = said(&set, "pid", json!({})).await;
    let crashed = set.call(call("crash", json!({}))).await.unwrap_err();
    assert!(matches!(crashed, Error::OutcomeUnknown { .. }), "{crashed}");
    until("the set says that it is degraded", || !set.degraded().is_empty()).await;
    let reason = set.degraded().remove(0);
    assert!(reason.contains("mcp_stub") && reason.contains("exit status: 7"), "{reason}");
    assert_eq!(names(&set), ["current_time"]);
    let down = set.call(call("echo", json!({ "text": "?" }))).await.unwrap_err();
    assert!(matches!(down, Error::Unavailable { .. }), "{down}");

    until("the server is back", || set.degraded().is_empty()).await;
    assert_ne!(said(&set, "pid", json!({})).await, first);
    set.close().await;
}

#[tokio::test]
async fn a_call_that_dies_or_takes_too_long_has_an_unknown_outcome() {
    let set = opened(json!([server(json!({}))])).await;
    let impatient = Call { timeout: Duration::from_millis(100), ..call("slow", json!({ "ms": 60_000 })) };
    let late = set.call(impatient).await.unwrap_err();
    assert!(matches!(late, Error::OutcomeUnknown { .. }), "{late}");
    // A slow call of one does not hold up another.
    assert_eq!(said(&set, "echo", json!({ "text": "still here" })).await, "still here");

    let (slow, crash) = tokio::join!(set.call(call("slow", json!({ "ms": 60_000 }))), async {
        tokio::task::yield_now().await;
        set.call(call("crash", json!({}))).await
    });
    assert!(matches!(slow, Err(Error::OutcomeUnknown { .. })) && matches!(crash, Err(Error::OutcomeUnknown { .. })));
    set.close().await;
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_at_the_start_is_named() {
    for (server, expected) in [
        (server(json!({ "args": ["--fail"] })), "exit status: 3"),
        (server(json!({ "args": ["--mute"], "start_timeout": "200ms" })), "within 200ms"),
        (json!({ "mcp": { "command": "/nowhere/mcp-files" } }), "No such file"),
        (json!({ "mcp": { "url": "http://127.0.0.1:9/mcp" } }), "refused"),
    ] {
        let Err(unusable) = try_open(json!([server]), &[]).await else { panic!("{server} was opened") };
        assert!(unusable.reason.contains("the tool server"), "{unusable}");
        assert!(unusable.reason.contains(expected), "{unusable} should say {expected:?}");
    }
}

#[tokio::test]
async fn a_child_sees_only_what_it_was_given() {
    let tools = json!([server(json!({ "env_from": { "TOKEN": "OUR_TOKEN" } }))]);
    let set = try_open(tools, &[("OUR_TOKEN", "t-1"), ("OPENAI_API_KEY", "sk-canary")]).await.unwrap();
    assert_eq!(said(&set, "getenv", json!({ "name": "TOKEN" })).await, "t-1");
    for hidden in ["OUR_TOKEN", "OPENAI_API_KEY", "CARGO_MANIFEST_DIR"] {
        assert_eq!(said(&set, "getenv", json!({ "name": hidden })).await, "(absent)");
    }
    set.close().await;
}

#[tokio::test]
async fn tools_of_the_same_name_keep_apart() {
    let set = opened(json!([server(json!({ "allow": ["pid"] })), server(json!({ "allow": ["pid"] }))])).await;
    assert_eq!(names(&set), ["pid", "mcp_stub_2_pid"]);
    assert_ne!(said(&set, "pid", json!({})).await, said(&set, "mcp_stub_2_pid", json!({})).await);
    set.close().await;
}

#[tokio::test]
async fn closing_ends_the_servers_even_those_that_linger() {
    for arguments in [json!([]), json!(["--linger"])] {
        let set = opened(json!([server(json!({ "args": arguments }))])).await;
        let pid = said(&set, "pid", json!({})).await;
        assert!(is_alive(&pid));
        tokio::time::timeout(Duration::from_secs(4), set.close()).await.expect("closing takes two seconds at most");
        assert!(!is_alive(&pid), "the server outlived its set");
        let after = set.call(call("echo", json!({}))).await.unwrap_err();
        assert!(matches!(after, Error::Unavailable { .. }));
    }
}

#[tokio::test]
async fn dropping_a_set_ends_its_servers_too() {
    let set = opened(json!([server(json!({}))])).await;
    let pid = said(&set, "pid", json!({})).await;
    drop(set);
    until("the server is gone", || !is_alive(&pid)).await;
}

#[tokio::test]
async fn calls_can_be_counted_across_lives() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("count");
    let tools = json!([server(json!({ "allow": ["count"], "env_from": { "COUNT_FILE": "FILE" } }))]);
    for expected in ["1", "2"] {
        let set = try_open(tools.clone(), &[("FILE", file.to_str().unwrap())]).await.unwrap();
        assert_eq!(said(&set, "count", json!({ "line": "x" })).await, expected);
        set.close().await;
    }
}
