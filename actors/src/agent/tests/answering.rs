use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::testing::{Bed, Fate};

#[tokio::test(start_paused = true)]
async fn with_a_million_waiting_a_control_message_is_served_at_once() {
    let bed = Bed::paused().await;
    bed.agent("swamped", "instances: 2\nconcurrency: 4").await;
    // The queue is the bus's: what has no credit never comes near the mailbox.
    let queue = bed.bus.queue("agent.input.swamped");
    let topic = "agent.input.swamped".to_owned();
    let event = greenroom_contract::Event::new(
        topic,
        "test",
        greenroom_contract::TraceId::new(),
        serde_json::json!({ "input": "wait" }),
    );
    for _ in 0..1_000_000 {
        let mut event = event.clone();
        event.event_id = greenroom_contract::EventId::new();
        queue.push(event);
    }
    bed.until("every credit to be at work", || bed.view("swamped").running == 8).await;
    assert!(queue.len() > 999_980, "{} are left", queue.len());
    for _ in 0..100 {
        let asked = std::time::Instant::now();
        let before = bed.view("swamped").ping.last_pong;
        bed.ping("swamped");
        while bed.view("swamped").ping.last_pong == before {
            tokio::task::yield_now().await;
        }
        let took = asked.elapsed();
        assert!(took < Duration::from_millis(10), "a control message took {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_agent_is_asked_at_least_once_a_minute() {
    let bed = Bed::paused().await;
    bed.agent("a", "").await;
    bed.agent("b", "supervision: {ping_every: 60s}").await;
    for name in ["a", "b"] {
        bed.until("the first answer", || bed.view(name).ping.last_pong.is_some()).await;
        assert!(bed.place(&format!("agents/{name}")).ping.is_some(), "the tree shows it too");
    }
    for _ in 0..5 {
        let before = (bed.view("a").ping.last_pong, bed.view("b").ping.last_pong);
        let start = Instant::now();
        bed.until("both to answer again", || {
            bed.view("a").ping.last_pong > before.0 && bed.view("b").ping.last_pong > before.1
        })
        .await;
        assert!(start.elapsed() <= Duration::from_secs(61), "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_in_rust_cannot_speak_as_the_runtime() {
    let bed = Bed::paused().await;
    bed.agent("forger", "limits: {max_attempts: 1}").await;
    for topic in ["cluster.lifecycle.started", "Greenroom.dead", "a..b", "fine.topic"] {
        bed.send("forger", &format!("emit {topic}"));
    }
    let ended = |code: &str| {
        let fates = bed.store.fates();
        fates.iter().filter(|(fate, ..)| matches!(fate, Fate::Ended(failure) if failure.code == code)).count()
    };
    bed.until("all to end", || ended("bad_topic") == 3).await;
    bed.until("the open topic to be taken", || {
        bed.store.fates().iter().any(|(fate, ..)| *fate == Fate::Succeeded(json!("done")))
    })
    .await;
}
