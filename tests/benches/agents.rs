//! What agents cost before they do anything: their start, their memory, a message to one, and the restart of an instance.
//!
//! A house in memory is measured, so that neither store nor broker is in the numbers, beside bare ractor actors in the
//! same process. Memory is what is allocated and not freed, counted by the allocator; what the house's store and bus keep
//! of each agent in memory is in it.
#![expect(clippy::print_stdout, clippy::panic, reason = "a measurement is printed, or cannot be made")]

use std::{
    alloc::System,
    sync::Arc,
    time::{Duration, Instant},
};

use greenroom_actors::{
    agent::{AgentHandle, Facts, agent},
    execution::Converse,
    orchestrator::rounds,
    supervisor::Policy,
};
use greenroom_contract::{ExecutionId, port::operator::Operator};
use kit::house::{Act, House, World};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const AGENTS: usize = 10_000;
const MESSAGES: u32 = 100_000;
const RUNS: usize = 5;
const RESTARTS: usize = 51;
/// A little longer than the dead stay in the tree.
const GRAVES: Duration = Duration::from_secs(62);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(async {
            many().await;
            message().await;
            restart().await;
        }),
        Err(error) => println!("no runtime: {error}"),
    }
}

/// Waits, at most two minutes. A look takes copies of all that is known of each agent, so it is not taken often.
async fn seldom(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    while !holds() {
        assert!(Instant::now() < end, "the agents were not all {what} after two minutes");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Ten thousand agents from their files' text until each is idle, and what they weigh.
async fn many() {
    let before = heap();
    let mut cells = Vec::with_capacity(AGENTS);
    for _ in 0..AGENTS {
        cells.push(bare().await);
    }
    let cell = (heap() - before) / AGENTS as f64;
    for cell in cells {
        drop(cell.stop_and_wait(None, None).await);
    }

    let world = World::default();
    let before = heap();
    let texts: Vec<String> = (0..AGENTS).map(|n| yaml(&format!("agent-{n}"), "idle: {flush_after: 5s}")).collect();
    let start = Instant::now();
    let house = world.open(&texts).await;
    let opened = start.elapsed();
    drop(texts);
    seldom("idle", || house.machine.agents().iter().all(|view| view.status.as_str() == "idle")).await;
    let ready = start.elapsed();
    let each = (heap() - before) / AGENTS as f64;
    println!("{AGENTS} agents from YAML, in memory");
    println!("  read and applied      {:>8.2} s", opened.as_secs_f64());
    println!("  ready                 {:>8.2} s      aim 3 s", ready.as_secs_f64());
    println!("  a bare ractor actor   {:>8.2} KiB", cell / 1024.0);
    println!(
        "  an idle agent         {:>8.2} KiB, {:.2} above one actor (its shell)   aim 4",
        each / 1024.0,
        (each - cell) / 1024.0
    );
    house.adopt(rounds(house.machine.clone()));
    seldom("asleep", || house.machine.agents().iter().all(|view| view.passivated)).await;
    // What has ended stays in the tree for a minute.
    tokio::time::sleep(GRAVES).await;
    drop(house.ports.table.snapshot());
    let each = (heap() - before) / AGENTS as f64;
    println!(
        "  a passivated agent    {:>8.2} KiB, and no actor: {:.2} above one   aim 1",
        each / 1024.0,
        (each - cell) / 1024.0
    );
    let start = Instant::now();
    house.stop().await;
    println!("  stopped               {:>8.2} s", start.elapsed().as_secs_f64());
}

/// One message to an agent's shell, which shows itself in the tree after each, against one to a bare actor.
async fn message() {
    let world = World::default();
    let house = world.open(&[]).await;
    let (_, definition) = House::parse(&yaml("clerk", ""));
    let definition = Arc::new(definition);
    let facts = Arc::new(Facts::new(house.ports.node.clone(), Arc::clone(&definition)));
    let policy = Policy::of(&definition.spec.supervision);
    let handle = AgentHandle::new(definition);
    let spec = agent(Arc::clone(&house.ports), handle.clone(), Arc::clone(&facts), Arc::new(Converse), policy);
    house.adopt(spec);
    house.until("the agent", || facts.view().status.as_str() == "idle").await;
    let nobody = ExecutionId::from_bytes([0; 16]);
    let actor = bare().await;

    let (mut wrapped, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let start = Instant::now();
        for _ in 0..MESSAGES {
            drop(actor.send_message(Bare::Nothing));
        }
        drop(actor.call(Bare::Ask, None).await);
        plain.push(start.elapsed() / MESSAGES);
        let start = Instant::now();
        for _ in 0..MESSAGES {
            handle.cancel(nobody);
        }
        // It answers when everything before has been handled.
        handle.drain().await;
        wrapped.push(start.elapsed() / MESSAGES);
    }
    let (wrapped, plain) = (median(wrapped), median(plain));
    println!("a message, {RUNS} runs of {MESSAGES}");
    println!("  to a bare ractor actor {:>7.2} µs", micros(plain));
    println!(
        "  to an agent's shell    {:>7.2} µs    {:.1} times as much   aim 2",
        micros(wrapped),
        wrapped.as_secs_f64() / plain.as_secs_f64()
    );
    actor.stop(None);
    house.stop().await;
}

/// From the panic of an execution to its success under the instance's next generation, without the backoff of 1 ms.
async fn restart() {
    let world = World::default();
    world.model.plays(|asked| match (asked.question.starts_with("faint"), asked.before) {
        (true, 0) => Act::Panic,
        _ => Act::Say("ok".to_owned()),
    });
    let supervision = "supervision: {failures_before_restart: 1, max_restarts: 100, backoff: {min: 1ms, max: 1ms}}";
    let house = world.open(&[yaml("clerk", supervision)]).await;
    house.agent_is("clerk", "idle").await;
    let (mut calm, mut fainted) = (Vec::new(), Vec::new());
    for n in 0..RESTARTS {
        for (kind, took) in [("calm", &mut calm), ("faint", &mut fainted)] {
            let start = Instant::now();
            let id = house.invoke("clerk", &format!("{kind} {n}")).await;
            let ended = house.machine.wait(id, Duration::from_secs(10)).await;
            took.push(start.elapsed());
            if ended.is_ok_and(|execution| execution.status.as_str() != "succeeded") {
                println!("  {kind} {n} did not succeed");
            }
        }
    }
    let (calm, fainted) = (median(calm), median(fainted));
    println!("an execution from door to end, median of {RESTARTS}");
    println!("  undisturbed            {:>7.2} ms", micros(calm) / 1e3);
    println!("  with a restart within  {:>7.2} ms, of which 1.0 to 1.2 ms are the backoff", micros(fainted) / 1e3);
    house.stop().await;
}

enum Bare {
    Nothing,
    Ask(RpcReplyPort<()>),
}

struct BareActor;

impl Actor for BareActor {
    type Msg = Bare;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Bare>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(&self, _: ActorRef<Bare>, message: Bare, count: &mut u64) -> Result<(), ActorProcessingErr> {
        *count += 1;
        if let Bare::Ask(reply) = message {
            drop(reply.send(()));
        }
        Ok(())
    }
}

async fn bare() -> ActorRef<Bare> {
    match Actor::spawn(None, BareActor, ()).await {
        Ok((actor, _)) => actor,
        Err(error) => panic!("ractor does not start an actor: {error}"),
    }
}

fn yaml(name: &str, rest: &str) -> String {
    format!("name: {name}\nagent_type: bench\nexecution_mode: autonomous\nllm_config: {{provider: auto}}\n{rest}\n")
}

/// What is allocated and not freed, in bytes.
fn heap() -> f64 {
    let stats = HEAP.stats();
    stats.bytes_allocated as f64 - stats.bytes_deallocated as f64
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
