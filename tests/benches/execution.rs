//! What an execution of two model calls and a tool costs the runtime, with the journal on SQLite.
//!
//! A whole node is measured, from the HTTP door to the last commit, by the processor time of its process; the model is
//! the scripted one, so that nothing but the runtime is in the number. The aim is 1 ms, for a release build: `make bench`
//! makes one.
#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use kit::{node::Home, node::Node, wait};

const EXECUTIONS: usize = 1000;
const RUNS: usize = 5;
/// Callers at a time: one shows the cost without group commit, many with it.
const CALLERS: [usize; 2] = [1, 16];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(measure()),
        Err(error) => println!("no runtime: {error}"),
    }
}

async fn measure() {
    let home = Home::new();
    home.agent(
        "clerk",
        "name: clerk\nagent_type: bench\nexecution_mode: autonomous\nconcurrency: 16\n\
         llm_config: {provider: scripted, script: [{tool: {name: current_time}, reply: \"It is {tool}.\"}]}\n\
         tools: [{builtin: current_time}]\n",
    );
    let node = home.launch().env("GREENROOM_LOG", "warn").start().await;
    let steps = node.ask("clerk", "warm up").await.json["steps"].as_array().map_or(0, Vec::len);
    println!("one execution, {steps} steps (model, tool, model), door to last commit; {RUNS} runs of {EXECUTIONS}");
    for callers in CALLERS {
        let (mut cpu, mut wall) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let (used, took) = run(&node, callers).await;
            cpu.push(used / EXECUTIONS as u32);
            wall.push(took / EXECUTIONS as u32);
        }
        cpu.sort();
        wall.sort();
        println!(
            "  {callers:>2} at a time   processor median {:>6.3} ms  worst {:>6.3} ms  aim 1 ms   elapsed median {:>6.3} ms each",
            millis(cpu[RUNS / 2]),
            millis(cpu[RUNS - 1]),
            millis(wall[RUNS / 2]),
        );
    }
    println!("  resident afterwards {:.1} MB", node.process.resident_kib() as f64 * 1024.0 / 1e6);
}

/// The processor time and the elapsed time of so many executions.
async fn run(node: &Node, callers: usize) -> (Duration, Duration) {
    let (cpu, start) = (node.process.cpu_time(), Instant::now());
    let ids: Vec<String> = stream::iter(0..EXECUTIONS)
        .map(|_| node.submit("clerk", "what time is it?"))
        .buffer_unordered(callers)
        .collect()
        .await;
    let last = ids.last().map(String::as_str).unwrap_or_default();
    wait::until("every execution to have ended", Duration::from_secs(120), async || {
        let open = node.get("/v1/executions?agent=clerk&status=queued,running&limit=1").await;
        open.json["items"].as_array().is_some_and(Vec::is_empty)
    })
    .await;
    let ended = (node.process.cpu_time() - cpu, start.elapsed());
    node.execution_is(last, &["succeeded"], Duration::from_secs(10)).await;
    ended
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
