//! A whole node in this process, as the binary boots it, on the cluster's backends.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use greenroom_config::{Environment, NodeConfig};
use greenroom_contract::{
    AgentId, Priority, TraceId,
    port::operator::{Invocation, Operator},
};
use greenroom_node::boot;
use kit::{
    node::Home,
    servers::{Backends, Shared},
    wait,
};
use serde_json::json;

use crate::{INPUT, Outcome};

/// What the agent is called.
pub(crate) const AGENT: &str = "clerk";
const LIMIT: Duration = Duration::from_secs(60);

/// A node with one agent, which answers at once.
pub(crate) struct Greenroom {
    node: boot::Node,
    agent: AgentId,
    /// The servers' places that are its own.
    pub(crate) backends: Backends,
    _home: Home,
}

impl Greenroom {
    /// Starts it. `mode` is the lines of the agent's file that say how it works.
    pub(crate) async fn start(servers: &Shared, mode: &str) -> Outcome<Self> {
        let (home, backends) = (Home::new(), servers.backends().await);
        let agent: AgentId = AGENT.parse()?;
        let model = "llm_config: {provider: scripted, script: [{reply: ok}]}";
        home.agent(AGENT, &format!("name: {AGENT}\nagent_type: bench\n{mode}\n{model}\n"));
        let mut pairs = backends.variables();
        let path = |path: PathBuf| path.display().to_string();
        pairs.push(("GREENROOM_DATA_DIR".to_owned(), path(home.data())));
        pairs.push(("GREENROOM_CONFIG_DIR".to_owned(), path(home.config())));
        pairs.push(("GREENROOM_HTTP_ADDR".to_owned(), "127.0.0.1:0".to_owned()));
        let env = Environment::from_pairs(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let node = boot::start(NodeConfig::from_env(&env)?, env).await?;
        let started = Self { node, agent, backends, _home: home };
        let limit = LIMIT;
        wait::seen("the agent to be idle", limit, async || match started.node.orchestrator.agents().first() {
            Some(agent) if agent.status.as_str() == "idle" => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        Ok(started)
    }

    /// Submits one and waits for its end. Returns how long that took.
    pub(crate) async fn one(&self, conversation: Option<&str>) -> Outcome<Duration> {
        let start = Instant::now();
        let invocation = Invocation {
            agent: self.agent.clone(),
            input: json!(INPUT),
            priority: Priority::Normal,
            conversation: conversation.map(str::to_owned),
            trace_id: TraceId::new(),
            source: "bench".to_owned(),
            idempotency_key: None,
            reply_to: None,
        };
        let invoked = self.node.orchestrator.invoke(invocation).await?;
        let ended = self.node.orchestrator.wait(invoked.execution_id, LIMIT).await?;
        match ended.status.as_str() {
            "succeeded" => Ok(start.elapsed()),
            other => Err(format!("an execution ended as {other}: {:?}", ended.error).into()),
        }
    }

    pub(crate) async fn stop(self) {
        boot::stop(self.node).await;
    }
}
