use std::{sync::atomic::Ordering, time::Duration};

use greenroom_contract::status::AgentStatus;
use serde_json::json;

use crate::testing::{Bed, Fate};

async fn asleep(bed: &Bed, name: &str) {
    bed.until("it to sleep", || bed.view(name).passivated).await;
}

#[tokio::test(start_paused = true)]
async fn after_ten_idle_minutes_it_lets_everything_go_and_the_next_message_wakes_it() {
    let bed = Bed::paused().await;
    bed.agent("dozy", "").await;
    let start = tokio::time::Instant::now();
    asleep(&bed, "dozy").await;
    let idle = start.elapsed();
    assert!(idle >= Duration::from_secs(599) && idle < Duration::from_secs(603), "after {idle:?}");
    assert_eq!(bed.view("dozy").status, AgentStatus::Idle, "asleep is idle");
    assert!(bed.place("agents/dozy").passivated);
    bed.until("its tools to be closed", || bed.script.closed.load(Ordering::SeqCst) == 1).await;
    assert_eq!(bed.instances("dozy"), 0, "it never had any work");

    bed.send("dozy", "hello");
    bed.until("the message to be handled", || {
        bed.store.fates().first().is_some_and(|(fate, ..)| *fate == Fate::Succeeded(json!("done")))
    })
    .await;
    assert_eq!(bed.store.fates()[0].1, 1, "claimed once");
    assert_eq!(bed.script.outfits.load(Ordering::SeqCst), 2, "fitted out again");
    assert!(!bed.view("dozy").passivated);
    assert_eq!(bed.instances("dozy"), 1);
    asleep(&bed, "dozy").await;
    assert_eq!(bed.view("dozy").restarts, 0, "going to sleep is no failure");
    assert_eq!(bed.place("agents/dozy/0").status, AgentStatus::Stopped);
    let place = bed.place("agents/dozy");
    assert_eq!((place.status, place.passivated, place.failures.len()), (AgentStatus::Idle, true, 0));
}

#[tokio::test(start_paused = true)]
async fn messages_that_race_with_the_going_to_sleep_are_each_handled_once() {
    let bed = Bed::paused().await;
    bed.agent("dozy", "idle: {flush_after: 1s}").await;
    // Sends at many offsets round the moment at which it goes to sleep.
    for n in 0..40_u64 {
        asleep(&bed, "dozy").await;
        bed.send("dozy", "wake");
        bed.until("it to be awake", || !bed.view("dozy").passivated).await;
        tokio::time::sleep(Duration::from_millis(960 + 5 * n)).await;
        bed.send("dozy", "race");
        let done = || bed.store.fates().iter().filter(|(fate, ..)| *fate == Fate::Succeeded(json!("done"))).count();
        bed.until("both to be handled", || done() as u64 == 2 * (n + 1)).await;
    }
    assert!(bed.store.fates().iter().all(|(_, epoch, crashes)| (*epoch, *crashes) == (1, 0)), "none twice");
    assert_eq!(bed.script.runs.load(Ordering::SeqCst), 80);
}

#[tokio::test(start_paused = true)]
async fn work_under_way_keeps_it_up_for_as_long_as_it_takes() {
    let bed = Bed::paused().await;
    bed.agent("busy", "idle: {flush_after: 10s}\nlimits: {timeout: 1h}").await;
    bed.send("busy", "wait");
    bed.status("busy", AgentStatus::Running).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!((bed.view("busy").status, bed.view("busy").passivated), (AgentStatus::Running, false));
    bed.script.go.notify_one();
    asleep(&bed, "busy").await;
}

#[tokio::test(start_paused = true)]
async fn a_sleeper_that_cannot_be_fitted_out_again_is_tried_until_it_can_and_loses_nothing() {
    let bed = Bed::paused().await;
    bed.agent("dozy", "idle: {flush_after: 10s}").await;
    asleep(&bed, "dozy").await;
    bed.script.unfit.store(true, Ordering::SeqCst);
    bed.send("dozy", "hello");
    bed.status("dozy", AgentStatus::Unavailable).await;
    bed.script.unfit.store(false, Ordering::SeqCst);
    bed.until("the message to be handled", || bed.store.fates()[0].0 == Fate::Succeeded(json!("done"))).await;
}

#[tokio::test(start_paused = true)]
async fn who_sleeps_is_no_actor_and_an_operators_verb_wakes_it() {
    let bed = Bed::paused().await;
    bed.agent("dozy", "idle: {flush_after: 5s}").await;
    let handle = bed.orchestrator.handle("dozy");
    asleep(&bed, "dozy").await;
    bed.until("its shell to end", || !handle.ping()).await;

    handle.pause();
    bed.status("dozy", AgentStatus::Paused).await;
    bed.send("dozy", "hello");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bed.store.fates(), [], "a paused agent takes nothing, and does not fall asleep either");
    handle.resume();
    bed.until("the message to be handled", || !bed.store.fates().is_empty()).await;

    asleep(&bed, "dozy").await;
    let outfits = bed.script.outfits.load(Ordering::SeqCst);
    handle.restart();
    bed.until("it to be fitted out anew", || bed.script.outfits.load(Ordering::SeqCst) > outfits).await;
    assert_eq!(bed.view("dozy").restarts, 0, "that is no restart of the supervisor's");
    asleep(&bed, "dozy").await;
    handle.look();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(bed.view("dozy").passivated, "what was not due before is no reason to be woken");
    handle.rouse();
    bed.until("it to be up", || !bed.view("dozy").passivated).await;
}

#[tokio::test(start_paused = true)]
async fn sleep_forgives_no_restarts() {
    let bed = Bed::paused().await;
    let rules = "{failures_before_restart: 1, max_restarts: 1, stable_after: 1h, backoff: {min: 1s, max: 1s}}";
    bed.agent("dozy", &format!("idle: {{flush_after: 5s}}\nlimits: {{max_attempts: 1}}\nsupervision: {rules}")).await;
    bed.send("dozy", "fail x");
    bed.until("it to be restarted", || bed.view("dozy").restarts == 1).await;
    asleep(&bed, "dozy").await;
    assert_eq!(bed.place("agents/dozy").restarts, 1);
    bed.send("dozy", "fail x");
    bed.status("dozy", AgentStatus::Failed).await;
}

#[tokio::test(start_paused = true)]
async fn a_sleeper_that_leaves_is_not_woken_any_more() {
    let bed = Bed::paused().await;
    bed.folder(&[("guest", "idle: {flush_after: 5s}"), ("other", "")]);
    bed.until("it to be there", || bed.knows("guest")).await;
    asleep(&bed, "guest").await;
    bed.folder(&[("other", "")]);
    bed.until("it to be gone", || !bed.knows("guest")).await;
    let retired = || bed.bus.retired.lock().expect("no test panics with it").len();
    bed.until("its queue to be unbound", || retired() == 1).await;
    bed.send("guest", "hello");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((bed.store.fates(), bed.bus.queue("agent.input.guest").len()), (vec![], 1), "it waits in the queue");
    bed.folder(&[("guest", ""), ("other", "")]);
    bed.until("it to be back and to take it in", || !bed.store.fates().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_porter_that_begins_anew_stands_where_it_stood() {
    let bed = Bed::paused().await;
    bed.agent("dozy", "idle: {flush_after: 5s}").await;
    asleep(&bed, "dozy").await;
    let porter = bed.place("porter").generation;
    bed.root.refresh("porter");
    bed.until("the next porter to be up", || bed.place("porter").generation > porter).await;
    bed.send("dozy", "hello");
    bed.until("the message to be handled", || {
        bed.store.fates().first().is_some_and(|(fate, ..)| *fate == Fate::Succeeded(json!("done")))
    })
    .await;
}
