//! What a plan costs beside the same work put together by hand: 500 runs of four steps (one, two side by side, one), with a model that
//! takes no time. `cargo bench --bench plans`.
//!
//! By hand, a client asks the same agents over HTTP in the same order and keeps what they said in memory: it loses everything with its
//! process, and is the least that such a workflow costs. Both run on one node with the embedded store, a debug build if cargo makes one.
#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use kit::{
    node::{Home, Node},
    wait,
};
use serde_json::json;

const RUNS: usize = 500;
const ROUNDS: usize = 3;
/// Workflows at a time by hand, and callers that begin plans.
const SIDE_BY_SIDE: usize = 64;
const LIMIT: Duration = Duration::from_secs(240);

fn main() {
    match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime.block_on(measure()),
        Err(error) => println!("no runtime: {error}"),
    }
}

fn agent(name: &str, more: &str) -> String {
    format!(
        "name: {name}\nagent_type: bench\nexecution_mode: autonomous\nconcurrency: 64\n\
         llm_config: {{provider: scripted, script: [{{reply: done}}]}}\n{more}"
    )
}

async fn measure() {
    let home = Home::new();
    for name in ["scout", "writer", "critic"] {
        home.agent(name, &agent(name, ""));
    }
    let plan = "collaboration:\n  agents: [scout, writer, critic]\n  plan:\n    steps:\n    \
        - {agent: scout, task: Find facts, output: $facts}\n    \
        - {agent: scout, task: Find left, inputs: [$facts], output: $left, depends_on: []}\n    \
        - {agent: writer, task: Find right, inputs: [$facts], output: $right, depends_on: []}\n    \
        - {agent: critic, task: Judge both, inputs: [$left, $right], output: $end}\n";
    home.agent("lead", &agent("lead", plan).replace("autonomous", "collaborative"));
    let node = home.launch().env("GREENROOM_LOG", "warn").start().await;
    planned(&node, 0, 20).await;
    by_hand(&node, 20).await;
    println!("{RUNS} workflows of four steps; medians of {ROUNDS} rounds, each beside the other");
    let (mut plans, mut hands, mut cpus) = (Vec::new(), Vec::new(), Vec::new());
    let before = node.process.resident_kib();
    for round in 0..ROUNDS {
        let cpu = node.process.cpu_time();
        plans.push(RUNS as f64 / planned(&node, 20 + round * RUNS, RUNS).await.as_secs_f64());
        cpus.push((node.process.cpu_time() - cpu).as_secs_f64() * 1e3 / RUNS as f64);
        hands.push(RUNS as f64 / by_hand(&node, RUNS).await.as_secs_f64());
    }
    let (plans, hands, cpu) = (median(plans), median(hands), median(cpus));
    println!("  plans      {plans:>7.1} runs/s   {:>7.1} steps/s   {cpu:.2} ms of processor each", plans * 4.0);
    println!("  by hand    {hands:>7.1} runs/s   {:>7.1} steps/s", hands * 4.0);
    println!("  a plan runs at {:.2} of by hand, with every step durable and none run twice", plans / hands);
    println!(
        "  resident {} MiB before, {} after {} runs",
        before / 1024,
        node.process.resident_kib() / 1024,
        RUNS * ROUNDS
    );
    node.stop().await;
}

/// How long so many runs take that are begun at once; none fails, and none gets stuck. So many have succeeded before.
async fn planned(node: &Node, before: usize, runs: usize) -> Duration {
    let began = Instant::now();
    let begin = |number: usize| async move {
        node.post("/v1/tasks", &json!({ "agent": "lead", "task": format!("number {number}") })).await.expect(202)
    };
    stream::iter(0..runs).map(begin).buffer_unordered(SIDE_BY_SIDE).collect::<Vec<_>>().await;
    let is_open = async || {
        for status in ["planning", "running", "waiting"] {
            let open = node.get(&format!("/v1/plans?status={status}&limit=1")).await.json;
            if open["items"].as_array().is_none_or(|items| !items.is_empty()) {
                return true;
            }
        }
        let coordinators = node.get("/v1/executions?agent=lead&status=queued,running,waiting&limit=1").await.json;
        coordinators["items"].as_array().is_none_or(|items| !items.is_empty())
    };
    wait::until("every run to end", LIMIT, async || !is_open().await).await;
    let took = began.elapsed();
    let failed = node.get("/v1/plans?status=failed&limit=1").await.json;
    assert!(failed["items"].as_array().is_some_and(Vec::is_empty), "after {before} runs one failed: {failed}");
    took
}

/// How long the same takes for a client that asks the agents itself.
async fn by_hand(node: &Node, runs: usize) -> Duration {
    let began = Instant::now();
    let one = |_| async move {
        node.ask("scout", "Find facts").await;
        futures::join!(node.ask("scout", "Find left"), node.ask("writer", "Find right"));
        node.ask("critic", "Judge both").await
    };
    stream::iter(0..runs).map(one).buffer_unordered(SIDE_BY_SIDE).collect::<Vec<_>>().await;
    began.elapsed()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
