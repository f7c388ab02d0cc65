//! A call that falls silent past its lease, in a whole node: nothing else sets it an end, so the watchdog does.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use greenroom_actors::execution::{Behaviour, Context, Trouble};
use greenroom_config::{Environment, NodeConfig};
use greenroom_contract::{
    BoxFuture, Priority, TraceId,
    port::operator::{Invocation, Operator, Scope},
    status::ExecutionStatus,
};
use greenroom_node::boot;
use serde_json::{Value, json};

const SPEC: &str = "
name: waiter
agent_type: test
execution_mode: autonomous
llm_config: {provider: scripted}
supervision: {backoff: {min: 10ms, max: 20ms}}
";
/// For so long it may be silent.
const LEASE: Duration = Duration::from_secs(1);
/// Within so long after that it is killed: a few seconds by the watchdog's own times, the rest is for a busy machine.
const KILLED_WITHIN: Duration = Duration::from_secs(30);

/// Its first call never answers, and it does not hear that it is asked to end either.
#[derive(Default)]
struct Waiter {
    runs: Mutex<Vec<Instant>>,
}

impl Waiter {
    fn runs(&self) -> Vec<Instant> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Behaviour for Waiter {
    fn perform<'a>(&'a self, context: &'a mut Context) -> BoxFuture<'a, Result<Value, Trouble>> {
        Box::pin(async move {
            self.runs.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
            if self.runs().len() == 1 {
                context.working("a call that never answers", LEASE);
                std::future::pending::<()>().await;
            }
            Ok(json!("well"))
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_call_is_ended_by_the_watchdog_and_its_message_delivered_once_more() {
    let home = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
    let (config, data) = (home.path().join("config"), home.path().join("data"));
    std::fs::create_dir_all(config.join("agents")).unwrap_or_else(|error| panic!("no folder: {error}"));
    let (config, data) = (config.display().to_string(), data.display().to_string());
    let env = Environment::from_pairs([
        ("GREENROOM_CONFIG_DIR", config.as_str()),
        ("GREENROOM_DATA_DIR", data.as_str()),
        ("GREENROOM_HTTP_ADDR", "127.0.0.1:0"),
    ]);
    let config = NodeConfig::from_env(&env).unwrap_or_else(|error| panic!("{error}"));
    let node = boot::start(config, env).await.unwrap_or_else(|error| panic!("the node does not start: {error}"));
    let spec =
        greenroom_config::parse(Path::new("waiter.yaml"), SPEC).unwrap_or_else(|refused| panic!("{refused}")).spec;
    let (agent, waiter) = (spec.name.clone(), Arc::new(Waiter::default()));
    node.orchestrator.add_rust_agent(spec, Arc::clone(&waiter) as _).unwrap_or_else(|taken| panic!("{taken}"));

    let invocation = Invocation {
        agent,
        input: json!("hello"),
        priority: Priority::default(),
        conversation: None,
        trace_id: TraceId::new(),
        source: "test".to_owned(),
        idempotency_key: None,
        reply_to: None,
    };
    let invoked = node.orchestrator.invoke(invocation).await.unwrap_or_else(|error| panic!("{error}"));
    let ended = node.orchestrator.wait(invoked.execution_id, kit::wait::PATIENCE).await;
    let ended = ended.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((ended.status, &ended.output), (ExecutionStatus::Succeeded, &Some(json!("well"))), "{ended:?}");
    assert_eq!((ended.crashes, ended.attempt), (1, 1), "a kill is a crash and no attempt: {ended:?}");
    let runs = waiter.runs();
    assert_eq!(runs.len(), 2, "its message came once more, and only once");
    let silent = runs[1] - runs[0];
    assert!(silent >= LEASE, "it was ended after {silent:?}, within its lease");
    assert!(silent <= LEASE + KILLED_WITHIN, "it was ended after {silent:?}");
    let tree = json!(node.orchestrator.tree(Scope::Node)).to_string();
    assert!(tree.contains(r#""code":"hung""#) && tree.contains(r#""kills":1"#), "the tree says why: {tree}");
    boot::stop(node).await;
}
