//! How long a node takes from the start of its process until it is ready with 20 agents, and what it weighs then.
//!
//! The aims are 0.5 s and 50 MB, for a release build: `make bench` makes one.
#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::time::Duration;

use kit::node::Home;

const AGENTS: usize = 20;
const RUNS: usize = 11;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(measure()),
        Err(error) => println!("no runtime: {error}"),
    }
}

async fn measure() {
    let (mut took, mut weight) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let home = Home::new();
        for number in 0..AGENTS {
            let name = format!("agent-{number}");
            home.agent(&name, &agent(&name));
        }
        let node = home.launch().env("GREENROOM_LOG", "warn").start().await;
        took.push(node.process.started.elapsed());
        weight.push(node.process.resident_kib());
        node.kill9().await;
    }
    took.sort();
    weight.sort();
    println!("process start → {AGENTS} agents ready, {RUNS} runs, a fresh data folder each (looked at every 10 ms)");
    println!(
        "  ready     median {:>7.1} ms   worst {:>7.1} ms   aim   500 ms",
        millis(took[RUNS / 2]),
        millis(took[RUNS - 1])
    );
    println!(
        "  resident  median {:>7.1} MB   worst {:>7.1} MB   aim    50 MB",
        mb(weight[RUNS / 2]),
        mb(weight[RUNS - 1])
    );
}

fn agent(name: &str) -> String {
    format!(
        "name: {name}\nagent_type: bench\nexecution_mode: autonomous\n\
         llm_config: {{provider: scripted, script: [{{reply: ok}}]}}\n\
         tools: [{{builtin: current_time}}, {{builtin: emit_event}}]\nsubscriptions: [\"bench.{name}.*\"]\n"
    )
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn mb(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}
