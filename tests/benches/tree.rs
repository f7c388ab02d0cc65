//! What the supervision tree costs with 10,000 busy agents: all of it as JSON, as `/v1/tree` answers, and writing to it.
//!
//! The aim is that 99 of 100 answers take less than 50 ms, for a release build: `make bench` makes one.
#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::time::{Duration, Instant};

use greenroom_contract::{
    ExecutionId, NodeId, TraceId,
    execution::Failure,
    status::AgentStatus,
    tree::{Table, Work},
};
use jiff::Timestamp;

const AGENTS: usize = 10_000;
const RUNS: usize = 201;

fn main() {
    let table = busy();
    let (mut whole, mut read) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    for _ in 0..RUNS {
        let begin = Instant::now();
        let json = table.json(&NodeId::new("bench"), &[]);
        whole.push(begin.elapsed());
        bytes = json.len();
        let begin = Instant::now();
        drop(table.snapshot_at());
        read.push(begin.elapsed());
    }
    println!("{AGENTS} agents, each with an instance and an execution, {RUNS} runs");
    print("/v1/tree, read and written", &mut whole, &format!("{:.1} MB   aim p99 50 ms", bytes as f64 / 1e6));
    print("a filter's copy of it", &mut read, "");

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
    let at = |share: usize| took.get(took.len() * share / 100).map(millis).unwrap_or_default();
    println!("  {what:<26} median {:>6.1} ms   p99 {:>6.1} ms   {note}", at(50), at(99));
}

fn each(what: &str, took: Duration, times: usize) {
    println!("  {what:<26} {:>7.2} µs each", took.as_secs_f64() * 1e6 / times as f64);
}
