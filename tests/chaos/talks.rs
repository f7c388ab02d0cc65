//! Many conversations at once over nodes that are killed at random: each must be the exact sequence of what was said (R6.1, R6.4).

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use crate::{
    day::Dice,
    http,
    node::{Cluster, Member, Node},
    wait,
};

/// Whoever works; the door beside them is not killed, because what is said at one door keeps its order, and what is said at
/// several does not.
const WORKERS: [&str; 3] = ["one", "two", "three"];
/// Between two kills: long enough for some work, and for every second victim to be taken for dead.
const BETWEEN: (u64, u64) = (500, 5_000);
const DOWN: (u64, u64) = (0, 7_000);
/// How long nothing may go on, and how long all agents may take to fall asleep in the end.
const RECOVERY: Duration = Duration::from_secs(240);
/// After so long without work an agent leaves memory, in seconds.
const IDLE: u64 = 10;

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub struct Talks {
    /// How many agents.
    pub agents: usize,
    /// How many events for each, in order.
    pub events: usize,
    /// How many nodes are killed meanwhile.
    pub kills: usize,
    /// By what the moments and victims are chosen.
    pub seed: u64,
}

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Talked {
    /// How long it took to say and hear all of it.
    pub took: Duration,
    /// Executions that were crashed under, and how often.
    pub crashes: u64,
    /// The workers' resident memory together, in MiB: with every agent just started, at its most, and asleep again.
    pub memory: [u64; 3],
}

/// Plays it and judges it.
///
/// # Panics
/// When a conversation is not what was said.
pub async fn talk(talks: Talks) -> Talked {
    let cluster = Cluster::new().await;
    for number in 0..talks.agents {
        let name = name(number);
        let file = format!(
            "name: {name}\nagent_type: talker\nexecution_mode: continuous\n\
             llm_config: {{provider: scripted, script: [{{reply: \"re: {{input}}\"}}]}}\n\
             limits: {{history: 10}}\nidle: {{flush_after: {IDLE}s}}\n"
        );
        cluster.home().agent(&name, &file);
    }
    let door = cluster.start("door", "gateway,orchestrator").await;
    let mut workers = Vec::new();
    for name in WORKERS {
        workers.push(cluster.start(name, "continuous").await);
    }
    let mut talked = Talked { memory: [together(&workers), 0, 0], ..Talked::default() };
    let began = Instant::now();
    let (over, most) = (AtomicBool::new(false), AtomicU64::new(0));
    let say = async {
        let speakers = stream::iter(0..talks.agents).map(|number| speak(door.node(), number, talks.events, &over));
        speakers.buffer_unordered(talks.agents).collect::<Vec<()>>().await;
    };
    let kill = async {
        let mut dice = Dice::new(talks.seed);
        for _ in 0..talks.kills {
            tokio::time::sleep(Duration::from_millis(dice.number(BETWEEN.0, BETWEEN.1))).await;
            most.fetch_max(together(&workers), Ordering::Relaxed);
            let victim = dice.number(0, WORKERS.len() as u64 - 1) as usize;
            workers[victim].kill9().await;
            tokio::time::sleep(Duration::from_millis(dice.number(DOWN.0, DOWN.1))).await;
            workers[victim].start().await;
        }
        over.store(true, Ordering::Relaxed);
    };
    futures::join!(say, kill);
    for number in 0..talks.agents {
        heard(door.node(), &name(number), talks.events).await;
    }
    talked.took = began.elapsed();
    talked.memory[1] = most.load(Ordering::Relaxed).max(together(&workers));
    for number in 0..talks.agents {
        talked.crashes += judge(&cluster, door.node(), &name(number), talks.events).await;
    }
    wait::seen("every agent to sleep", RECOVERY, async || {
        let agents = door.node().get("/v1/agents").await.json;
        let asleep =
            agents["items"].as_array().into_iter().flatten().filter(|agent| agent["passivated"] == true).count();
        if asleep == talks.agents { Ok(()) } else { Err(format!("{asleep} of {}", talks.agents)) }
    })
    .await;
    talked.memory[2] = together(&workers);
    talked
}

fn name(number: usize) -> String {
    format!("talker-{number}")
}

fn together(workers: &[Member<'_>]) -> u64 {
    workers.iter().filter(|worker| worker.is_up()).map(|worker| worker.node().process.resident_kib() / 1024).sum()
}

/// Says one thing after the other to one agent, each when the one before was taken in; spread over the time of the kills.
async fn speak(door: &Node, agent: usize, events: usize, over: &AtomicBool) {
    for number in 0..events {
        let key = format!("{agent}-{number}");
        wait::seen("an event to be taken in", RECOVERY, async || {
            let request = door.request("POST", &format!("/v1/agents/{}/invoke", name(agent)));
            let request = request.header("idempotency-key", &key).json(&json!({ "input": number.to_string() }));
            match http::try_send(request).await {
                Ok(answer) if matches!(answer.status, 200 | 202) => Ok(()),
                Ok(answer) => Err(answer.text),
                Err(error) => Err(format!("{error:?}")),
            }
        })
        .await;
        // While nodes die there is something to say, and then the rest is said at once.
        if !over.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(800)).await;
        }
    }
}

/// Waits until an agent has heard everything; it need only go on.
async fn heard(door: &Node, agent: &str, events: usize) {
    let mut messages = 0;
    while messages < events * 2 {
        messages = wait::seen(&format!("{agent} to hear more than {messages} messages"), RECOVERY, async || {
            let state = door.get(&format!("/v1/agents/{agent}/state")).await.json;
            let now = state["messages"].as_u64().unwrap_or_default() as usize;
            if now > messages { Ok(now) } else { Err(state.to_string()) }
        })
        .await;
    }
}

/// What the nodes logged of an agent's events on their way.
fn story_of(cluster: &Cluster, agent: &str) -> String {
    let words =
        ["Invocation taken in", "Event published", "Event not published", "Event taken in", "Execution started"];
    let mut lines: Vec<Value> = cluster.home().logs();
    lines.retain(|line| {
        let said = line["message"].as_str().unwrap_or_default();
        let about = line["agent"] == agent || line["topic"] == format!("agent.input.{agent}");
        about && words.iter().any(|word| said.contains(word))
    });
    lines.sort_by_key(|line| line["timestamp"].as_str().unwrap_or_default().to_owned());
    let short = |line: &Value| {
        let trace = line["trace_id"].as_str().unwrap_or_default();
        let (at, said) = (line["timestamp"].as_str().unwrap_or_default(), line["message"].as_str().unwrap_or_default());
        format!("{at} {} {said}", trace.get(trace.len().saturating_sub(6)..).unwrap_or_default())
    };
    lines.iter().map(short).collect::<Vec<_>>().join("\n")
}

/// Compares the whole conversation with what was said. Returns how often the agent's executions crashed.
async fn judge(cluster: &Cluster, door: &Node, agent: &str, events: usize) -> u64 {
    let archive = door.get(&format!("/v1/agents/{agent}/export")).await.expect(200).json;
    let messages = archive["conversations"][0]["messages"].as_array().cloned().unwrap_or_default();
    let said: Vec<&str> = messages.iter().map(|message| message["parts"][0]["text"].as_str().unwrap_or("-")).collect();
    let wanted: Vec<String> = (0..events).flat_map(|number| [number.to_string(), format!("re: {number}")]).collect();
    assert!(said == wanted, "{agent}: a gap, a repetition, or another order: {said:?}\n{}", story_of(cluster, agent));
    let mut cursor = String::new();
    let (mut executions, mut crashes) = (0, 0);
    loop {
        let page = door.get(&format!("/v1/executions?agent={agent}&limit=500{cursor}")).await.expect(200).json;
        let items: Vec<Value> = page["items"].as_array().cloned().unwrap_or_default();
        executions += items.iter().filter(|one| one["status"] == "succeeded").count();
        crashes += items.iter().filter_map(|one| one["crashes"].as_u64()).sum::<u64>();
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(executions, events, "{agent}: an execution for each event, and each ended well");
    crashes
}
