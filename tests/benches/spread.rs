//! How autonomous work is shared (R5.5), with real processes: over one to three pools on RabbitMQ, PostgreSQL and Redis, and what
//! agents and instances that hang or fail cost the others. `cargo bench --bench spread`.
//!
//! The model takes 50 ms, so that places are what is short and not the processor: what is measured is whether places are used.
#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use kit::{
    http,
    node::{Cluster, Home, Node},
    wait,
};
use serde_json::{Value, json};

/// How much work at a time.
const EVENTS: usize = 1200;
const ROUNDS: usize = 3;
const LIMIT: Duration = Duration::from_secs(120);

fn main() {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(async {
            beside_the_bad().await;
            over_processes().await;
        }),
        Err(error) => println!("no runtime: {error}"),
    }
}

fn agent(name: &str, more: &str) -> String {
    let script = "[{when: hang, delay: 1h, reply: never}, {when: fail, panic: told to}, {delay: 50ms, reply: ok}]";
    format!(
        "name: {name}\nagent_type: bench\nexecution_mode: autonomous\n\
         llm_config: {{provider: scripted, script: {script}}}\n{more}\n"
    )
}

async fn give(door: &Node, agent: &str, input: &str) {
    let path = format!("/v1/agents/{agent}/invoke");
    http::send(door.request("POST", &path).json(&json!({ "input": input }))).await.expect(202);
}

/// Lets work pile up before a held agent, and returns how long it takes once the agent is let go.
async fn drain(door: &Node, agent: &str) -> Duration {
    door.post(&format!("/v1/agents/{agent}/pause"), &json!({})).await.expect(200);
    let given = stream::iter(0..EVENTS).map(|number| async move { give(door, agent, &number.to_string()).await });
    given.buffer_unordered(16).collect::<Vec<()>>().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    door.post(&format!("/v1/agents/{agent}/resume"), &json!({})).await.expect(200);
    wait::until("all of it to be done", LIMIT, async || {
        // What is not in the inbox yet is listed, too.
        let open = door.get(&format!("/v1/executions?agent={agent}&status=queued,running&limit=10")).await.json;
        let queues = door.get("/v1/queues").await.json;
        let items = |list: &Value| list["items"].as_array().cloned().unwrap_or_default();
        let queue = items(&queues).into_iter().find(|queue| queue["name"] == format!("agent.input.{agent}"));
        // One that hangs is meant to.
        items(&open).iter().all(|one| one["event_type"] == "bench.hang")
            && queue.is_some_and(|queue| queue["ready"] == 0)
    })
    .await;
    began.elapsed()
}

async fn rate(door: &Node, agent: &str) -> f64 {
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        rates.push(EVENTS as f64 / drain(door, agent).await.as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    rates[ROUNDS / 2]
}

async fn beside_the_bad() {
    let home = Home::new();
    let places = "instances: 4\nconcurrency: 2\nsubscriptions: [bench.hang]\nlimits: {timeout: 1h, silence: 1h}";
    home.agent("steady", &agent("steady", "instances: 4\nconcurrency: 2"));
    home.agent("mixed", &agent("mixed", places));
    home.agent("hung", &agent("hung", "limits: {timeout: 1h, silence: 1h}\nconcurrency: 1"));
    let patient = "limits: {max_attempts: 1}\nsupervision: {failures_before_restart: 1, max_restarts: 100, backoff: {min: 1s, max: 1s}}";
    home.agent("failing", &agent("failing", patient));
    let node = home.launch().start().await;
    let alone = rate(&node, "steady").await;
    println!("one process, an agent of 4 instances with 2 places each; medians of {ROUNDS} rounds of {EVENTS}");
    println!("  alone                                                   {alone:>6.1} executions/s");
    give(&node, "hung", "hang").await;
    let fail = async {
        loop {
            give(&node, "failing", "fail").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let beside = tokio::select! {
        beside = rate(&node, "steady") => beside,
        () = fail => 0.0,
    };
    println!(
        "  beside an agent that hangs and one that panics 50 times a second {beside:>6.1} executions/s, {:+.1} %",
        (beside / alone - 1.0) * 100.0
    );
    // One of its own eight places is held, and stays held.
    let whole = rate(&node, "mixed").await;
    node.post("/v1/events", &json!({ "event_type": "bench.hang", "payload": { "input": "hang" } })).await;
    wait::until("the hanging one to be at work", LIMIT, async || {
        node.get("/v1/executions?agent=mixed&status=running&limit=1").await.text.contains("bench.hang")
    })
    .await;
    let rest = rate(&node, "mixed").await;
    println!(
        "  an agent of the same size, and with one of its places hung: {whole:>6.1} and {rest:>6.1} executions/s, {:+.1} % for \
         each of the other seven",
        (rest / (whole * 7.0 / 8.0) - 1.0) * 100.0
    );
    let failures = node.executions("failing").await.len();
    println!("  ({failures} of the last 500 executions of the failing one were seen)");
    node.stop().await;
}

async fn over_processes() {
    let cluster = Cluster::new().await;
    cluster.home().agent("worker", &agent("worker", "instances: 2\nconcurrency: 4"));
    let door = cluster.start("door", "gateway,orchestrator").await;
    println!("an agent of 2 instances with 4 places each, on every pool; medians of {ROUNDS} rounds of {EVENTS}");
    let mut pools = Vec::new();
    let mut first = 0.0;
    for name in ["one", "two", "three"] {
        pools.push(cluster.start(name, "autonomous").await);
        let before = by_node(door.node()).await;
        let rate = rate(door.node(), "worker").await;
        if pools.len() == 1 {
            first = rate;
        }
        let mut shares = by_node(door.node()).await;
        for (node, count) in &before {
            *shares.entry(node.clone()).or_default() -= count;
        }
        let even = (ROUNDS * EVENTS) as f64 / pools.len() as f64;
        let worst = shares.values().map(|count| (*count as f64 / even - 1.0).abs()).fold(0.0, f64::max) * 100.0;
        println!(
            "  {} pools   {rate:>6.1} executions/s   {:.2} of one pool   shares {shares:?}, at most {worst:.1} % from even",
            pools.len(),
            rate / first
        );
    }
}

/// How many executions each node has done.
async fn by_node(door: &Node) -> BTreeMap<String, i64> {
    let (mut counts, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let page = door.get(&format!("/v1/executions?agent=worker&limit=500{cursor}")).await.json;
        for one in page["items"].as_array().into_iter().flatten() {
            *counts.entry(one["node"].as_str().unwrap_or("-").to_owned()).or_default() += 1;
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return counts,
        }
    }
}
