use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use greenroom_contract::status::AgentStatus;
use serde_json::json;

use crate::testing::{Bed, Fate};

const QUICK: &str = "limits: {max_attempts: 1}\nsupervision: {failures_before_restart: 1, max_restarts: 0}";

#[tokio::test(start_paused = true)]
async fn a_changed_definition_frees_a_parked_agent() {
    let bed = Bed::paused().await;
    bed.agent("wretch", QUICK).await;
    bed.send("wretch", "fail of-itself");
    bed.status("wretch", AgentStatus::Failed).await;
    bed.send("wretch", "hello");
    bed.reload("wretch", "description: better now").await;
    bed.until("it to go on", || bed.store.fates().iter().any(|(fate, ..)| *fate == Fate::Succeeded(json!("done"))))
        .await;
    assert_eq!(bed.view("wretch").restarts, 0, "a reload is no restart");
}

#[tokio::test(start_paused = true)]
async fn a_changed_definition_is_what_a_shell_that_starts_again_begins_with() {
    let bed = Bed::paused().await;
    bed.agent("anew", "").await;
    let before = bed.view("anew").version;
    bed.reload("anew", "description: other").await;
    bed.until("the new version to be up", || bed.view("anew").version != before).await;
    let after = bed.view("anew").version;
    bed.kill("anew");
    let outfits = bed.script.outfits.load(Ordering::SeqCst);
    bed.until("the next generation to be fitted out", || bed.script.outfits.load(Ordering::SeqCst) > outfits).await;
    bed.status("anew", AgentStatus::Idle).await;
    assert_eq!(bed.view("anew").version, after, "not the one that the node began with");
}

#[tokio::test(start_paused = true)]
async fn a_changed_definition_in_every_other_state_takes_over() {
    let bed = Bed::paused().await;
    // In backoff.
    bed.agent(
        "falling",
        "limits: {max_attempts: 1}\nsupervision: {failures_before_restart: 1, backoff: {min: 30s, max: 60s}}",
    )
    .await;
    bed.send("falling", "fail x");
    bed.status("falling", AgentStatus::Restarting).await;
    bed.reload("falling", "instances: 3").await;
    for _ in 0..3 {
        bed.send("falling", "wait");
    }
    bed.until("its instances to be up", || bed.instances("falling") == 3).await;
    // Asleep: it wakes by it, and sleeps again in time.
    bed.agent("dozy", "idle: {flush_after: 5s}").await;
    bed.until("it to sleep", || bed.view("dozy").passivated).await;
    bed.reload("dozy", "instances: 2\nidle: {flush_after: 1h}").await;
    bed.until("it to be up", || !bed.view("dozy").passivated && bed.view("dozy").instances == 2).await;
    assert_eq!(bed.instances("dozy"), 0, "nobody is called in for nothing");
    bed.send("dozy", "wait");
    bed.send("dozy", "wait");
    bed.until("its instances to be up", || bed.instances("dozy") == 2).await;
    // Unavailable.
    bed.script.unfit.store(true, Ordering::SeqCst);
    bed.reload("dozy", "instances: 1").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bed.view("dozy").status, AgentStatus::Running, "the last good version goes on");
    bed.script.unfit.store(false, Ordering::SeqCst);
    bed.reload("dozy", "instances: 4").await;
    bed.until("the good version to be up", || bed.view("dozy").instances == 4).await;
    bed.send("dozy", "wait");
    bed.send("dozy", "wait");
    bed.until("its instances to be up", || bed.instances("dozy") == 4).await;
}

#[tokio::test(start_paused = true)]
async fn who_leaves_finishes_first_and_may_come_back_meanwhile() {
    let bed = Bed::paused().await;
    bed.folder(&[("guest", "limits: {timeout: 1h}")]);
    bed.status("guest", AgentStatus::Idle).await;
    bed.folder(&[]);
    bed.until("it to be gone", || !bed.knows("guest")).await;
    let retired = Arc::clone(&bed.bus);
    bed.until("its queue to be unbound", || retired.retired.lock().expect("no test panics with it").len() == 1).await;
    bed.folder(&[("guest", "")]);
    bed.until("it to be up", || bed.knows("guest") && bed.place("agents/guest").status == AgentStatus::Idle).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bed.place("agents/guest").failures.len(), 0, "no timer of the one that is gone meets it");
    for _ in 0..20 {
        bed.folder(&[("guest", "")]);
        bed.folder(&[]);
        bed.folder(&[("guest", "description: again")]);
        bed.until("it to be back", || bed.knows("guest") && bed.view("guest").status == AgentStatus::Idle).await;
        bed.until("it to be up", || bed.place("agents/guest").status == AgentStatus::Idle).await;
    }
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(bed.place("agents/guest").failures.len(), 0, "no timer of those that are gone meets it");
    assert_eq!(bed.view("guest").status, AgentStatus::Idle);
}
