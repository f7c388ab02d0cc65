use std::{sync::atomic::Ordering, time::Duration};

use serde_json::json;
use tokio::time::Instant;

use crate::testing::{Bed, Fate};

/// The default of `supervision.ping_every`, and how long an answer may take.
const HEARD_OF: Duration = Duration::from_secs(30 + 10);

#[tokio::test(start_paused = true)]
async fn a_shell_that_hears_nobody_is_killed_and_its_work_done_by_the_next() {
    let bed = Bed::paused().await;
    bed.agent("deaf", "concurrency: 2").await;
    bed.send("deaf", "wait");
    bed.until("the first to be at work", || bed.script.runs.load(Ordering::SeqCst) == 1).await;
    let start = Instant::now();
    bed.busy("deaf", Box::pin(std::future::pending()));
    // Claimed, and never taken out of the mailbox by the one that it was for.
    bed.send("deaf", "hello");
    bed.until("its shell to be killed", || bed.place("agents/deaf").restarts == 1).await;
    assert!(start.elapsed() < HEARD_OF + Duration::from_secs(5), "after {:?}", start.elapsed());
    assert_eq!(bed.place("agents/deaf").failures[0].failure.code, "killed");

    bed.until("the new shell to have begun the first again", || bed.script.runs.load(Ordering::SeqCst) >= 3).await;
    bed.script.go.notify_waiters();
    let done = |bed: &Bed| bed.store.fates().iter().all(|(fate, _, _)| *fate == Fate::Succeeded(json!("done")));
    bed.until("both to be done", || bed.store.fates().len() == 2 && done(&bed)).await;
    assert_eq!(bed.store.fates().iter().map(|(_, _, crashes)| *crashes).max(), Some(0), "it was not their fault");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_shell_that_holds_its_thread_is_left_behind_and_another_serves() {
    let bed = Bed::paused().await;
    bed.agent("stuck", "supervision: {backoff: {min: 10ms, max: 20ms}}").await;
    let (release, held) = std::sync::mpsc::channel::<()>();
    bed.busy(
        "stuck",
        Box::pin(async move {
            held.recv().ok();
        }),
    );
    bed.end_deaf("stuck");
    bed.until("the next generation to serve", || bed.place("agents/stuck").restarts == 1).await;
    bed.status("stuck", greenroom_contract::status::AgentStatus::Idle).await;
    bed.send("stuck", "hello");
    bed.until("it to have worked", || {
        bed.store.fates().first().is_some_and(|(fate, _, _)| *fate == Fate::Succeeded(json!("done")))
    })
    .await;
    drop(release);
}

#[tokio::test(start_paused = true)]
async fn a_feeder_that_panics_begins_anew_and_its_agent_may_sleep_and_wake() {
    let bed = Bed::paused().await;
    bed.agent("dozy", "idle: {flush_after: 5m}").await;
    bed.store.faulty.store(true, Ordering::Relaxed);
    bed.orchestrator.handle("dozy").look();
    bed.until("its feeder to panic", || !bed.store.faulty.load(Ordering::Relaxed)).await;
    let done = || bed.store.fates().iter().filter(|(fate, ..)| *fate == Fate::Succeeded(json!("done"))).count();
    for message in 1..=2 {
        bed.send("dozy", "hello");
        bed.until("the message to be handled", || done() == message).await;
        assert_eq!(bed.view("dozy").restarts, 0);
        bed.until("it to sleep", || bed.view("dozy").passivated).await;
    }
}
