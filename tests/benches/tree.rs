//! What the supervision tree costs with 10,000 busy agents: reading all of it, and writing to it.
//!
//! The aim is that reading takes less than 50 ms, for a release build: `make bench` makes one.
#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::time::{Duration, Instant};

use greenroom_contract::{
    ExecutionId, NodeId, TraceId,
    execution::Failure,
    status::AgentStatus,
    tree::{NodeTree, Table, Tree, Work},
};
use jiff::Timestamp;

const AGENTS: usize = 10_000;
const RUNS: usize = 21;

fn main() {
    let table = busy();
    let mut read = Vec::new();
    let mut written = Vec::new();
    let mut bytes = 0;
    for _ in 0..RUNS {
        let begin = Instant::now();
        let (version, root) = table.snapshot_at();
        read.push(begin.elapsed());
        let node = NodeTree { node: NodeId::new("bench"), roles: Vec::new(), reachable: true, version, root };
        let begin = Instant::now();
        let json = serde_json::to_vec(&Tree { complete: true, nodes: vec![node] }).unwrap_or_default();
        written.push(begin.elapsed());
        bytes = json.len();
    }
    println!("{AGENTS} agents, each with an instance and an execution, {RUNS} runs");
    print("the tree is read", &mut read, "aim 50 ms");
    print("it becomes JSON", &mut written, &format!("{:.1} MB", bytes as f64 / 1e6));

    let begin = Instant::now();
    for agent in 0..AGENTS {
        let path = format!("agents/agent-{agent}/0");
        table.status(&path, AgentStatus::Idle);
        table.status(&path, AgentStatus::Running);
    }
    each("a change of status", begin.elapsed(), 2 * AGENTS);
    let begin = Instant::now();
    for agent in 0..AGENTS {
        table.inbox(&format!("agents/agent-{agent}"), 3, Some(8), None);
    }
    each("a write that is no change", begin.elapsed(), AGENTS);
}

fn busy() -> Table {
    let table = Table::new(&NodeId::new("bench"));
    table.enter("agents", "supervisor", AgentStatus::Running);
    for number in 0..AGENTS {
        let agent = format!("agents/agent-{number}");
        let instance = format!("{agent}/0");
        let execution_id = ExecutionId::new();
        let execution = format!("{instance}/{execution_id}");
        table.enter(&agent, "agent", AgentStatus::Running);
        table.enter(&instance, "instance", AgentStatus::Running);
        table.enter(&execution, "execution", AgentStatus::Running);
        if number % 10 == 0 {
            table.failed(&agent, Failure::new("provider", "the provider answered 503"), Some(TraceId::new()));
        }
        let now = Timestamp::now();
        let step = "llm openai/gpt-6-sol".to_owned();
        let work = Work { execution_id, trace_id: TraceId::new(), step, since: now, deadline: now, last_progress: now };
        table.update(&execution, |place| place.work = Some(work));
    }
    table
}

fn print(what: &str, took: &mut [Duration], note: &str) {
    took.sort();
    let millis = |duration: &Duration| duration.as_secs_f64() * 1e3;
    let (median, worst) = (took.get(took.len() / 2).map(millis), took.last().map(millis));
    println!("  {what:<26} median {:>7.1} ms   worst {:>7.1} ms   {note}", median.unwrap_or(0.0), worst.unwrap_or(0.0));
}

fn each(what: &str, took: Duration, times: usize) {
    println!("  {what:<26} {:>7.2} µs each", took.as_secs_f64() * 1e6 / times as f64);
}
