//! How a node's cost grows with its agents: the time until all are ready, memory of node and broker, and throughput.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use futures::future::join_all;
use kit::{
    http,
    node::{Home, Node},
    servers::Shared,
    wait,
};

use crate::{INPUT, Outcome, say, stats::median};

/// How many agents, and up to how many have a queue of their own on the broker.
const AGENTS: [(usize, usize); 5] = [(1, 1000), (10, 1000), (100, 1000), (1000, 1000), (1000, 0)];
const ROUNDS: usize = 3;
const EXECUTIONS: usize = 800;
const CALLERS: usize = 16;
/// A thousand quorum queues take RabbitMQ a while.
const START_LIMIT: Duration = Duration::from_secs(180);

pub(crate) async fn measure(servers: &Shared) -> Outcome<()> {
    say(&format!(
        "a node by its agents; executions over HTTP (wait), {CALLERS} at a time over all agents, medians of {ROUNDS} rounds"
    ));
    for (agents, own) in AGENTS {
        let (home, backends) = (Home::new(), servers.backends().await);
        for agent in 0..agents {
            home.agent(&name(agent), &yaml(agent));
        }
        let before = broker_bytes(servers).await;
        let launch = home.launch().env("GREENROOM_LOG", "warn").env("GREENROOM_QUEUES", own.to_string());
        let node = launch.envs(backends.variables()).begin().await;
        let ready = node.process.started.elapsed();
        wait::seen("all agents to be idle", START_LIMIT, async || {
            let listed = node.get("/v1/agents").await;
            let idle =
                listed.json["items"].as_array().into_iter().flatten().filter(|agent| agent["status"] == "idle").count();
            if idle == agents { Ok(()) } else { Err(format!("{idle} of {agents} are")) }
        })
        .await;
        let all_idle = node.process.started.elapsed();
        round(&node, agents).await;
        let rates = {
            let mut rates = Vec::new();
            for _ in 0..ROUNDS {
                rates.push(round(&node, agents).await);
            }
            median(rates)
        };
        let after = broker_bytes(servers).await;
        say(&format!(
            "  {agents:>4} agents, {}   door {:>5.1} s   all idle {:>5.1} s   {rates:>6.0}/s   node {:>6.1} MB   broker {:>+7.1} MB",
            if agents > own { "queues shared   " } else { "a queue for each" },
            ready.as_secs_f64(),
            all_idle.as_secs_f64(),
            node.process.resident_kib() as f64 * 1024.0 / 1e6,
            (after - before) / 1e6
        ));
        node.kill9().await;
    }
    Ok(())
}

async fn round(node: &Node, agents: usize) -> f64 {
    let begun = AtomicUsize::new(0);
    let start = Instant::now();
    let caller = async || {
        loop {
            let number = begun.fetch_add(1, Ordering::Relaxed);
            if number >= EXECUTIONS {
                return;
            }
            node.ask(&name(number % agents), INPUT).await;
        }
    };
    join_all((0..CALLERS).map(|_| caller())).await;
    EXECUTIONS as f64 / start.elapsed().as_secs_f64()
}

fn name(agent: usize) -> String {
    format!("agent-{agent}")
}

fn yaml(agent: usize) -> String {
    format!(
        "name: {}\nagent_type: bench\nexecution_mode: autonomous\nconcurrency: 16\n\
         llm_config: {{provider: scripted, script: [{{reply: ok}}]}}\n",
        name(agent)
    )
}

/// What the broker says of its memory; it looks every five seconds.
async fn broker_bytes(servers: &Shared) -> f64 {
    let nodes = http::send(http::client().get(format!("{}/api/nodes", servers.amqp_admin))).await.expect(200).json;
    nodes[0]["mem_used"].as_f64().unwrap_or(f64::NAN)
}
