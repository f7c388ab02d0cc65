//! What is told, to whom, and what is not.

use std::{
    sync::{Arc, Mutex, atomic::AtomicU64},
    time::Duration,
};

use greenroom_contract::{
    AgentId, BoxFuture, NodeId, TopicPattern,
    execution::Failure,
    port::bus::{self, Bus, Publication, Receipt},
    status::AgentStatus,
    task,
    tree::{RING, Table},
};
use serde_json::Value;
use tokio::{sync::Notify, task::JoinHandle};

use super::{GAP, Watchers, run::Teller};

/// A bus that remembers, and can be away.
#[derive(Default)]
struct Ear {
    heard: Mutex<Vec<(String, Value)>>,
    away: Mutex<bool>,
    told: Notify,
}

impl Ear {
    /// The topics' last words with the paths, once there are so many.
    async fn heard(&self, many: usize) -> Vec<String> {
        let wait = async {
            loop {
                let told = self.told.notified();
                if self.heard.lock().unwrap().len() >= many {
                    return;
                }
                told.await;
            }
        };
        let enough = tokio::time::timeout(Duration::from_secs(60), wait).await;
        let heard = self.heard.lock().unwrap();
        assert!(enough.is_ok(), "only {heard:?}");
        let word = |topic: &str| topic.rsplit('.').next().unwrap().to_owned();
        heard
            .iter()
            .map(|(topic, payload)| format!("{} {}", word(topic), payload["path"].as_str().unwrap_or("-")))
            .collect()
    }
}

impl Bus for Ear {
    fn publish(&self, batch: Vec<Publication>) -> BoxFuture<'_, Vec<Result<Receipt, bus::Error>>> {
        Box::pin(async move {
            self.told.notify_waiters();
            if *self.away.lock().unwrap() {
                let away = || Err(bus::Error::Unavailable { reason: "away".into() });
                return batch.iter().map(|_| away()).collect();
            }
            let mut heard = self.heard.lock().unwrap();
            for Publication { event, mandatory } in &batch {
                assert!(!mandatory, "nobody has to listen");
                heard.push((event.event_type.clone(), event.payload.clone()));
            }
            drop(heard);
            self.told.notify_waiters();
            batch.iter().map(|_| Ok(Receipt { queues: Some(0) })).collect()
        })
    }

    fn broadcast(&self, _: &str, _: bytes::Bytes) -> BoxFuture<'_, Result<(), bus::Error>> {
        unreachable!("lifecycle events are published")
    }

    fn listen(&self, _: TopicPattern) -> BoxFuture<'_, Result<bus::Subscription<bus::Broadcast>, bus::Error>> {
        unreachable!("lifecycle hears nothing")
    }

    fn declare(&self, _: bus::QueueSpec) -> BoxFuture<'_, Result<(), bus::Error>> {
        Box::pin(async { Ok(()) })
    }

    fn retire(&self, _: &str) -> BoxFuture<'_, Result<(), bus::Error>> {
        Box::pin(async { Ok(()) })
    }

    fn consume(&self, queue: &str, _: usize) -> BoxFuture<'_, Result<bus::Subscription<bus::Delivery>, bus::Error>> {
        let queue = queue.to_owned();
        Box::pin(async { Err(bus::Error::UnknownQueue { queue }) })
    }

    fn consume_dead(&self, _: usize) -> BoxFuture<'_, Result<bus::Subscription<bus::DeadDelivery>, bus::Error>> {
        Box::pin(async { Err(bus::Error::UnknownQueue { queue: String::new() }) })
    }

    fn queues(&self) -> BoxFuture<'_, Result<Vec<bus::QueueInfo>, bus::Error>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn health(&self) -> BoxFuture<'_, Result<(), bus::Error>> {
        Box::pin(async { Ok(()) })
    }
}

/// Who listens to what.
struct Subscriptions(Vec<(&'static str, TopicPattern)>);

impl Watchers for Subscriptions {
    fn listens(&self, agent: &AgentId, topic: &str) -> bool {
        self.0.iter().any(|(name, pattern)| *name == agent.as_str() && pattern.matches(topic))
    }
}

struct Stage {
    table: Table,
    ear: Arc<Ear>,
    task: JoinHandle<()>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn stage(subscriptions: &[(&'static str, &str)]) -> Stage {
    let node = NodeId::new("n1");
    let table = Table::new(&node);
    table.enter("agents", "supervisor", AgentStatus::Running);
    table.enter("agents/old", "agent", AgentStatus::Idle);
    let ear = Arc::new(Ear::default());
    let subscriptions = subscriptions.iter().map(|(name, pattern)| (*name, pattern.parse().unwrap())).collect();
    let teller = Teller {
        node,
        table: table.clone(),
        bus: ear.clone(),
        watchers: Arc::new(Subscriptions(subscriptions)),
        at: AtomicU64::new(table.version()),
    };
    let task = task::spawn("lifecycle", async move { teller.run().await });
    Stage { table, ear, task }
}

#[tokio::test(start_paused = true)]
async fn the_life_of_agents_and_instances_is_told_and_nothing_else() {
    let stage = stage(&[]);
    let table = &stage.table;
    table.enter("relay", "service", AgentStatus::Running);
    table.enter("agents/a", "agent", AgentStatus::Starting);
    table.status("agents/a", AgentStatus::Idle);
    table.enter("agents/a/0", "instance", AgentStatus::Running);
    table.enter("agents/a/0/x", "execution", AgentStatus::Running);
    table.status("agents/a", AgentStatus::Running);
    let trace_id = greenroom_contract::TraceId::new();
    table.failed("agents/a/0", Failure::new("panicked", "boom"), Some(trace_id));
    table.update("agents/a/0", |place| {
        place.status = AgentStatus::Restarting;
        place.restarts += 1;
    });
    table.update("agents/a/0", |place| place.kills += 1);
    table.update("agents/a/0", |place| place.quarantined = 1);
    table.status("agents/a", AgentStatus::Paused);
    table.status("agents/a", AgentStatus::Running);
    table.status("agents/a", AgentStatus::Unavailable);
    table.status("agents/a", AgentStatus::Failed);
    table.update("agents/a/0", |place| place.passivated = true);
    table.bury("agents/a");
    let heard = stage.ear.heard(12).await;
    assert_eq!(
        heard,
        [
            "started agents/a",
            "started agents/a/0",
            "failed agents/a/0",
            "restarted agents/a/0",
            "killed agents/a/0",
            "quarantined agents/a/0",
            "paused agents/a",
            "resumed agents/a",
            "unavailable agents/a",
            "parked agents/a",
            "stopped agents/a",
            "stopped agents/a/0",
        ]
    );
    let heard = stage.ear.heard.lock().unwrap();
    let restarted = &heard[3].1;
    assert_eq!((&restarted["node"], &restarted["agent"]), (&"n1".into(), &"a".into()));
    assert_eq!((&restarted["kind"], &restarted["name"]), (&"instance".into(), &"0".into()));
    assert_eq!((&restarted["status"], &restarted["restarts"]), (&"restarting".into(), &1.into()));
    assert_eq!(restarted["generation"], 1);
    assert_eq!(restarted["cause"]["code"], "panicked");
    assert_eq!(restarted["cause"]["trace_id"], trace_id.to_string());
    assert!(heard[0].1.get("cause").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_watcher_does_not_wake_itself_nor_do_two_wake_one_another() {
    let stage = stage(&[("a", "cluster.lifecycle.failed"), ("b", "#"), ("c", "cluster.tree.*")]);
    for agent in ["a", "b", "c"] {
        let path = format!("agents/{agent}");
        stage.table.enter(&path, "agent", AgentStatus::Idle);
        stage.table.enter(&format!("{path}/0"), "instance", AgentStatus::Idle);
        stage.table.failed(&path, Failure::new("panicked", "boom"), None);
        stage.table.status(&path, AgentStatus::Failed);
    }
    // Being woken is not news either.
    for _ in 0..10 {
        stage.table.status("agents/old", AgentStatus::Running);
        stage.table.status("agents/old", AgentStatus::Idle);
    }
    stage.table.status("agents/old", AgentStatus::Paused);
    let heard = stage.ear.heard(5).await;
    let told = ["started agents/c", "started agents/c/0", "failed agents/c", "parked agents/c", "paused agents/old"];
    assert_eq!(heard, told);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_told_in_time_is_said_once() {
    let stage = stage(&[]);
    *stage.ear.away.lock().unwrap() = true;
    stage.table.status("agents/old", AgentStatus::Paused);
    stage.ear.told.notified().await;
    for _ in 0..RING {
        stage.table.status("agents/old", AgentStatus::Running);
        stage.table.status("agents/old", AgentStatus::Idle);
    }
    *stage.ear.away.lock().unwrap() = false;
    assert_eq!(stage.ear.heard(2).await, ["paused agents/old", "gap -"], "what was in hand is not lost");
    assert_eq!(stage.ear.heard.lock().unwrap()[1].0, GAP);
    stage.table.status("agents/old", AgentStatus::Failed);
    assert_eq!(stage.ear.heard(3).await[2], "parked agents/old");
}
