//! An agent written in Rust, in a whole node within this process: `cargo run -p greenroom-node --example rust_agent`.
//!
//! It lives under the same supervision as an agent of the folder: a panic, a hang or an endless loop in `perform` ends
//! that execution and nothing else, and what had been journaled is not done again.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use greenroom_actors::execution::{Behaviour, Context, Trouble};
use greenroom_config::{Environment, NodeConfig};
use greenroom_contract::{
    BoxFuture, Priority, TraceId,
    port::operator::{Invocation, Operator},
};
use greenroom_node::boot;
use serde_json::{Value, json};

const SPEC: &str = "
name: counter
agent_type: example
execution_mode: autonomous
llm_config: {provider: scripted}
";

/// Counts the words that it is given. One that needs a model or a tool asks through `context`.
struct Counter;

impl Behaviour for Counter {
    fn perform<'a>(&'a self, context: &'a mut Context) -> BoxFuture<'a, Result<Value, Trouble>> {
        Box::pin(async move {
            let Some(text) = context.event().payload["input"].as_str() else {
                return Err(Trouble::lasting("bad_input", "the input is not a text"));
            };
            Ok(json!({ "words": text.split_whitespace().count() }))
        })
    }
}

fn main() -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("greenroom-rust-agent-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("config/agents"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let answer = runtime.block_on(ask(&folder));
    std::fs::remove_dir_all(&folder)?;
    #[expect(clippy::print_stdout, reason = "it is what the example is for")]
    {
        println!("{}", answer?);
    }
    Ok(())
}

async fn ask(folder: &Path) -> anyhow::Result<Value> {
    let (config, data) = (folder.join("config").display().to_string(), folder.join("data").display().to_string());
    let env = Environment::from_pairs([
        ("GREENROOM_CONFIG_DIR", config.as_str()),
        ("GREENROOM_DATA_DIR", data.as_str()),
        ("GREENROOM_HTTP_ADDR", "127.0.0.1:0"),
    ]);
    let node = boot::start(NodeConfig::from_env(&env)?, env).await?;

    let spec = greenroom_config::parse(Path::new("counter.yaml"), SPEC).map_err(|refused| anyhow!("{refused}"))?.spec;
    let agent = spec.name.clone();
    node.orchestrator.add_rust_agent(spec, Arc::new(Counter))?;

    let invocation = Invocation {
        agent,
        input: json!("how many words are these"),
        priority: Priority::default(),
        conversation: None,
        trace_id: TraceId::new(),
        source: "example".to_owned(),
        idempotency_key: None,
        reply_to: None,
    };
    let invoked = node.orchestrator.invoke(invocation).await?;
    let ended = node.orchestrator.wait(invoked.execution_id, Duration::from_secs(20)).await?;
    boot::stop(node).await;
    ended.output.with_context(|| format!("the execution is {}: {:?}", ended.status, ended.error))
}
