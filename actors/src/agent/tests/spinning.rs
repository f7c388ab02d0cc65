//! Real threads and real time: a loop that does not give its thread back cannot be played with a clock that stands still.

use std::{sync::atomic::Ordering, time::Duration};

use serde_json::json;

use crate::{
    testing::{Bed, Fate},
    watchdog::{Patience, Rules, Sampler, Time, Watchdog},
};

const MILLI: Duration = Duration::from_millis(1);

/// The watchdog's rules, quicker: the proportions are those of the defaults.
fn quick() -> Rules {
    Rules {
        every: 20 * MILLI,
        poll_limit: 200 * MILLI,
        grace: 200 * MILLI,
        patience: Patience { cancel: 500 * MILLI, spin: 300 * MILLI, abort: 200 * MILLI },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_loop_is_fenced_its_work_done_by_a_replacement_and_its_late_end_counted() {
    let dog = Watchdog::new(Time::machine(), quick(), 4);
    let sampler = Sampler::thread(dog.clone()).expect("a thread starts");
    let bed = Bed::with(dog.clone(), sampler).await;
    bed.agent("dizzy", "supervision: {backoff: {min: 10ms, max: 20ms}}").await;
    bed.send("dizzy", "spin once");
    bed.until("the loop to be fenced", || bed.place("agents/dizzy").quarantined == 1).await;
    bed.until("the replacement to have done it", || bed.store.fates()[0] == (Fate::Succeeded(json!("done")), 2, 1))
        .await;
    let fenced = bed.quarantined("dizzy").expect("it stands in the tree");
    assert_eq!(fenced.kind, "quarantined");
    assert!(bed.view("dizzy").running == 0, "its credit is back");
    assert_eq!(bed.place("agents/dizzy").failures[0].failure.code, "cpu_bound");
    assert_eq!(dog.too_many_lost(), None, "one of four threads can be done without");

    bed.script.enough.store(true, Ordering::SeqCst);
    bed.until("the loop to end", || bed.place("agents/dizzy").quarantined == 0).await;
    bed.until("its late result to be counted", || bed.place("agents/dizzy").late_results == 1).await;
    assert_eq!(bed.store.fates()[0], (Fate::Succeeded(json!("done")), 2, 1), "the late result changed nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn when_half_of_the_threads_are_lost_the_node_is_told_to_go() {
    let dog = Watchdog::new(Time::machine(), quick(), 2);
    let sampler = Sampler::thread(dog.clone()).expect("a thread starts");
    let bed = Bed::with(dog.clone(), sampler).await;
    bed.agent("dizzy", "").await;
    bed.send("dizzy", "spin once");
    let reason = dog.overwhelmed().await;
    assert!(reason.starts_with("1 of 2 threads"), "{reason}");
    use greenroom_contract::port::operator::Operator;
    bed.orchestrator.set_ready(true);
    let health = bed.orchestrator.health().await;
    assert!(!health.ready && health.components.iter().any(|part| part.reason.as_ref() == Some(&reason)), "{health:?}");
    bed.script.enough.store(true, Ordering::SeqCst);
}
