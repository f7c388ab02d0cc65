//! Schedules on paused time: three schedulers that are killed and whose clocks are wrong, and a file that changes.
#![expect(clippy::unwrap_used, reason = "a test fails where its store does")]

use std::{collections::BTreeMap, time::Duration};

use greenroom_contract::{
    AgentId, Event, TraceId,
    port::{
        bus::{Publication, SCHEDULED_TASKS},
        operator::Operator,
        state::{Firing, Schedules, State},
    },
    status::{ExecutionStatus, FiringStatus},
};
use jiff::{SignedDuration, Timestamp};
use kit::house::{Act, Gate, House, World};
use serde_json::json;

use super::agents::{agent, secs};

const NODES: [(&str, i64); 3] = [("fast", 2000), ("right", 0), ("slow", -2000)];
const ROLES: &str = "scheduler,orchestrator,autonomous,gateway";

fn cast() -> Vec<String> {
    [
        ("each-second", "schedule: {every: 1s, missed: all, overlap: allow}\nconcurrency: 50"),
        ("each-seventh", "schedule: {every: 7s, missed: all, overlap: queue}"),
        ("by-cron", "schedule: {cron: '*/5 * * * * *', missed: all, overlap: allow}"),
        ("by-the-minute", "schedule: {cron: '* * * * *', timezone: Australia/Lord_Howe, missed: all, overlap: allow}"),
    ]
    .map(|(name, rest)| agent(name, rest))
    .into()
}

async fn firings(world: &World, agent: &str) -> Vec<Firing> {
    let agent: AgentId = agent.parse().unwrap();
    let mut all = world.state.firings(&agent, 100_000).await.unwrap();
    all.reverse();
    all
}

/// The same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// As `kill -9`: from now on the store hears nothing more of it, also of what it had in hand.
async fn kill(world: &World, house: House) {
    world.state.faults.unavailable(true);
    house.stop().await;
}

// R3.6
#[tokio::test(start_paused = true)]
async fn three_schedulers_with_wrong_clocks_and_random_kills_fire_each_time_once() {
    for seed in [1, 20_261_126] {
        let world = World::default();
        let mut dice = Dice(seed);
        let open = async |place: usize| {
            let (name, offset) = NODES[place];
            let node = world.node(name, ROLES).off_by(SignedDuration::from_millis(offset));
            let house = node.open(&cast()).await;
            (node, house)
        };
        let mut nodes = Vec::new();
        for place in 0..NODES.len() {
            nodes.push(Some(open(place).await));
        }
        let mut kills = 0;
        for _ in 0..60 {
            world.pass(Duration::from_millis(200 + dice.roll(9000))).await;
            let place = dice.roll(3) as usize;
            nodes[place] = match nodes[place].take() {
                Some((node, house)) => {
                    kills += 1;
                    kill(&node, house).await;
                    None
                }
                None => Some(open(place).await),
            };
        }
        for (place, node) in nodes.iter_mut().enumerate() {
            if node.is_none() {
                *node = Some(open(place).await);
            }
        }
        world.pass(secs(30)).await;
        assert!(kills > 20, "seed {seed}: {kills} kills are few");
        // No more firings; what has fired is done.
        for agent in ["each-second", "each-seventh", "by-cron", "by-the-minute"] {
            world.state.pause_schedule(&agent.parse().unwrap(), true).await.unwrap();
        }
        let (_, house) = nodes[1].as_ref().unwrap();
        let done = || world.state.tally().iter().all(|(status, count)| *status == "succeeded" || *count == 0);
        house.until("everything to be done", done).await;
        check(&world, seed).await;
        for (_, house) in nodes.into_iter().flatten() {
            house.stop().await;
        }
    }
}

async fn check(world: &World, seed: u64) {
    let mut executions: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for (id, agent, _) in world.state.all() {
        executions.entry(agent.to_string()).or_default().push(id);
    }
    let cadence = [("each-second", 1), ("each-seventh", 7), ("by-cron", 5), ("by-the-minute", 60)];
    for (agent, seconds) in cadence {
        let fired = firings(world, agent).await;
        let what = format!("{agent}, seed {seed}");
        assert!(fired.len() > 5, "{what}: {} firings", fired.len());
        for pair in fired.windows(2) {
            let between = pair[1].due_at.duration_since(pair[0].due_at);
            assert_eq!(between, SignedDuration::from_secs(seconds), "{what}: {pair:?}");
        }
        for firing in &fired {
            assert_eq!(firing.status, FiringStatus::Fired, "{what}: {firing:?}");
            assert!(firing.decided_at >= firing.due_at, "{what}: early by the store's clock: {firing:?}");
            assert_eq!(firing.execution_status, Some(ExecutionStatus::Succeeded), "{what}: {firing:?}");
        }
        let mut expected: Vec<_> = fired.iter().map(|firing| firing.execution_id).collect();
        let mut found = executions.remove(agent).unwrap_or_default();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{what}: one execution for each firing");
    }
    assert!(executions.is_empty());
}

// R3.1
#[tokio::test(start_paused = true)]
async fn a_changed_file_changes_the_times_and_a_removed_one_ends_them() {
    let world = World::default();
    let house = world.open(&[agent("a", "schedule: {every: 10s, overlap: allow}")]).await;
    let next = async || house.machine.schedules().await.unwrap()[0].next.clone();
    house.until("its first firings", || world.state.tally().get("succeeded") == Some(&3)).await;
    let before = firings(&world, "a").await;
    house.define(&agent("a", "schedule: {every: 100s, overlap: allow}"));
    house.pass(secs(1)).await;
    let changed = next().await;
    assert_eq!(changed.len(), 10);
    assert!(changed.windows(2).all(|pair| pair[1].duration_since(pair[0]) == SignedDuration::from_secs(100)));
    house.pass(secs(60)).await;
    assert_eq!(firings(&world, "a").await.len(), before.len(), "the old times are over");
    house.pass(secs(60)).await;
    assert_eq!(firings(&world, "a").await.len(), before.len() + 1);
    // What is no time is no change of the times.
    house.define(&agent("a", "description: other\nschedule: {every: 100s, overlap: allow, input: 'another question'}"));
    house.pass(secs(1)).await;
    assert_eq!(next().await[0], changed[1]);
    house.until("the new question", || world.model.times("another question") == 1).await;
    house.remove("a");
    house.pass(secs(300)).await;
    let ended = firings(&world, "a").await.len();
    assert_eq!(ended, before.len() + 2);
    assert_eq!(world.state.schedules().await.unwrap().rows[0].next_at, None);
    // What comes back begins anew: nothing was missed by an agent that was not there.
    house.define(&agent("a", "schedule: {every: 100s, missed: all, overlap: allow}"));
    house.pass(secs(50)).await;
    assert_eq!(firings(&world, "a").await.len(), ended);
    house.close().await;
}

// R3.6
#[tokio::test(start_paused = true)]
async fn firings_of_a_stop_follow_their_policy() {
    let world = World::default();
    let policies = ["skip", "once", "all"];
    let text = |policy| agent(policy, &format!("schedule: {{cron: '*/10 * * * *', missed: {policy}}}"));
    let cast = policies.map(text);
    let house = world.open(&cast).await;
    house.pass(secs(60)).await;
    house.stop().await;
    // Noon: five are missed by ten to one, and the last one is not late any more.
    world.pass(secs(52 * 60)).await;
    let house = world.open(&cast).await;
    house.pass(secs(60)).await;
    let told = async |policy| {
        let told = firings(&world, policy).await;
        told.iter().map(|firing| (firing.status.as_str(), firing.stands_for)).collect::<Vec<_>>()
    };
    assert_eq!(told("skip").await, [("missed", 5)]);
    assert_eq!(told("once").await, [("fired", 5)]);
    assert_eq!(told("all").await, [("fired", 1); 5]);
    assert_eq!(world.state.tally()["succeeded"], 6);
    let late = firings(&world, "all").await;
    let expected: Timestamp = "2026-11-22T12:10:00Z".parse().unwrap();
    assert_eq!(late[0].due_at, expected);
    house.close().await;
}

// R3.6
#[tokio::test(start_paused = true)]
async fn firings_that_overlap_follow_their_policy() {
    let world = World::default();
    let gate = Gate::default();
    let shut = gate.clone();
    world.model.plays(move |_| Act::Wait(shut.clone()));
    let cast = ["allow", "skip", "queue"].map(|policy| {
        agent(
            policy,
            &format!(
                "limits: {{timeout: 1h, silence: 1h}}\nschedule: {{every: 60s, overlap: {policy}, input: {policy}}}"
            ),
        )
    });
    let house = world.open(&cast).await;
    house.pass(secs(5 * 60 + 10)).await;
    assert_eq!((world.model.times("allow"), world.model.times("skip"), world.model.times("queue")), (4, 1, 1));
    let words = async |agent| {
        let all = firings(&world, agent).await;
        all.iter().map(|firing| firing.status.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(words("allow").await, ["fired"; 5], "as many as it works on at a time; the others are its queue's");
    assert_eq!(words("skip").await, ["fired", "skipped", "skipped", "skipped", "skipped"]);
    assert_eq!(words("queue").await, ["fired", "waiting", "waiting", "waiting", "waiting"]);
    let shown = house.machine.schedules().await.unwrap();
    assert_eq!(shown.iter().map(|one| one.waiting).collect::<Vec<_>>(), [0, 4, 0], "allow, queue, skip");
    gate.open();
    house.until("the queue to be empty", || world.model.times("queue") == 5).await;
    house.pass(secs(5)).await;
    assert_eq!(words("queue").await, ["fired"; 5]);
    // One after the other, in order.
    let load = world.model.load("queue");
    assert_eq!(load.most, 1, "{load:?}");
    house.close().await;
}

// R3.5
#[tokio::test(start_paused = true)]
async fn a_scheduled_execution_has_300_seconds_and_no_second_try() {
    let world = World::default();
    world.model.plays(|_| Act::Silent);
    let text = agent("slow", "limits: {silence: 1h, max_attempts: 3}\nschedule: {every: 600s, input: work}");
    let house = world.open(&[text]).await;
    house.pass(secs(600)).await;
    house.until("it to be at work", || world.model.times("work") == 1).await;
    house.pass(secs(299)).await;
    assert_eq!(world.state.tally().get("timed_out"), None);
    house.pass(secs(30)).await;
    assert_eq!((world.state.tally()["timed_out"], world.model.times("work")), (1, 1));
    let fired = firings(&world, "slow").await;
    let ended = world.state.execution(fired[0].execution_id).await.unwrap().unwrap();
    assert_eq!((ended.attempt, ended.error.unwrap().code.as_str()), (1, "timed_out"));
    let took = ended.finished_at.unwrap().duration_since(ended.started_at.unwrap());
    assert!((300..302).contains(&took.as_secs()), "{took:?}");
    house.close().await;
}

// R3.6
#[tokio::test(start_paused = true)]
async fn nodes_that_know_different_files_do_not_fight_and_nobody_is_deserted() {
    let world = World::default();
    let (old, new) = (world.node("old", ROLES), world.node("new", ROLES));
    let text = |seconds: u32| agent("a", &format!("schedule: {{every: {seconds}s, overlap: allow}}"));
    let first = old.open(&[text(10)]).await;
    first.pass(secs(35)).await;
    // The newcomer knows a later file, as when a cluster is brought up to date node by node.
    let second = new.open(&[text(20)]).await;
    second.pass(secs(1)).await;
    let before = firings(&world, "a").await.len();
    second.pass(secs(90)).await;
    let told = firings(&world, "a").await;
    assert_eq!(told.len(), before + 4, "the later file counts, and the old node leaves it alone: {told:#?}");
    let digests: Vec<String> = world.state.schedules().await.unwrap().rows.into_iter().map(|row| row.digest).collect();
    assert_eq!(digests.len(), 1);
    kill(&new, second).await;
    // Nobody who knows this row is left: after a minute the old one takes it over, in its own way.
    first.pass(secs(20 + 60 + 10 + 30)).await;
    let after = firings(&world, "a").await;
    let last = after.len();
    let gap = after[last - 1].due_at.duration_since(after[last - 2].due_at);
    assert_eq!(gap, SignedDuration::from_secs(10), "{after:#?}");
    first.stop().await;
}

// R3.2
#[tokio::test(start_paused = true)]
async fn a_task_without_an_agent_is_a_dead_letter_and_holds_up_nobody() {
    let world = World::default();
    let house = world.open(&[agent("a", "schedule: {every: 10s}")]).await;
    let declared = || world.bus.infos().iter().any(|queue| queue.name == SCHEDULED_TASKS && queue.consumers > 0);
    house.until("its queue", declared).await;
    let task = Event::new(SCHEDULED_TASKS, "scheduler", TraceId::new(), json!({ "agent_id": "No Agent" }));
    let sent = house.ports.bus.publish(vec![Publication { event: task.clone(), mandatory: true }]).await;
    assert!(sent[0].is_ok());
    house.until("its next firing", || world.state.tally().get("succeeded") == Some(&1)).await;
    let letters = world.state.dead_letters(Default::default(), Default::default()).await.unwrap().items;
    assert_eq!(
        (letters.len(), letters[0].queue.as_str(), letters[0].reason.code.as_str()),
        (1, SCHEDULED_TASKS, "no_agent")
    );
    assert_eq!(letters[0].trace_id, Some(task.trace_id));
    house.close().await;
}

// R3.6
#[tokio::test(start_paused = true)]
async fn what_waits_is_held_by_a_pause_and_goes_on_after_it() {
    let world = World::default();
    let gate = Gate::default();
    let shut = gate.clone();
    world.model.plays(move |_| Act::Wait(shut.clone()));
    let text = agent("a", "limits: {timeout: 1h, silence: 1h}\nschedule: {every: 60s, overlap: queue, input: work}");
    let house = world.open(&[text]).await;
    house.pass(secs(3 * 60 + 10)).await;
    let id: AgentId = "a".parse().unwrap();
    house.machine.pause_schedule(&id, true).await.unwrap();
    gate.open();
    house.pass(secs(300)).await;
    assert_eq!(world.model.times("work"), 1);
    house.machine.pause_schedule(&id, false).await.unwrap();
    house.pass(secs(10)).await;
    assert_eq!(world.model.times("work"), 3);
    let told = firings(&world, "a").await;
    assert!(told.len() == 3 && told.iter().all(|firing| firing.status == FiringStatus::Fired), "{told:#?}");
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn who_has_schedules_and_hears_no_scheduler_says_so() {
    let world = World::default();
    let (door, timer) = (world.node("door", "gateway,orchestrator,autonomous"), world.node("timer", "scheduler"));
    let cast = [agent("a", "schedule: {every: 10s}")];
    let house = door.open(&cast).await;
    let said = async || {
        let health = house.machine.health().await;
        let told = health.components.into_iter().find(|part| part.component == "schedules");
        told.and_then(|part| part.reason)
    };
    let reason = said().await.unwrap_or_default();
    assert!(reason.contains("no node with the role scheduler"), "{reason}");
    let other = timer.open(&cast).await;
    house.pass(secs(5)).await;
    assert_eq!(said().await, None);
    house.until("a firing", || world.state.tally().get("succeeded") == Some(&1)).await;
    other.stop().await;
    house.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_schedule_whose_agent_went_while_nobody_was_there_rests() {
    let world = World::default();
    let ghost = agent("ghost", "schedule: {every: 10s, missed: all, overlap: allow}");
    let house = world.open(std::slice::from_ref(&ghost)).await;
    house.pass(secs(35)).await;
    house.close().await;
    let house = world.open(&[agent("other", "")]).await;
    let next = async || {
        let rows = world.state.schedules().await.unwrap().rows;
        rows.into_iter().find(|row| row.agent.as_str() == "ghost").and_then(|row| row.next_at)
    };
    house.pass(secs(30)).await;
    assert!(next().await.is_some(), "another node may know it, and serve it");
    house.pass(secs(60)).await;
    assert_eq!(next().await, None);
    house.close().await;
    let before = firings(&world, "ghost").await.len();
    let house = world.open(&[ghost]).await;
    house.pass(secs(15)).await;
    let after = firings(&world, "ghost").await.len();
    assert!((1..=2).contains(&(after - before)), "nobody wanted those between: {before} and {after}");
    house.close().await;
}
