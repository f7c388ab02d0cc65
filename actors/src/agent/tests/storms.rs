use std::{sync::atomic::Ordering, time::Duration};

use greenroom_contract::status::AgentStatus;
use serde_json::json;

use crate::testing::{Bed, Fate};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const QUICK: &str = "limits: {max_attempts: 20}\nsupervision: {failures_before_restart: 2, max_restarts: 1}";

fn done(bed: &Bed) -> usize {
    bed.store.fates().iter().filter(|(fate, ..)| *fate == Fate::Succeeded(json!("done"))).count()
}

#[tokio::test(start_paused = true)]
async fn when_the_provider_is_down_all_pause_by_that_cause_burn_nothing_and_one_trial_frees_them() {
    let bed = Bed::paused().await;
    for name in NAMES {
        bed.agent(name, QUICK).await;
    }
    bed.agent("other", QUICK).await;
    bed.script.down.store(true, Ordering::SeqCst);
    for name in NAMES {
        bed.send(name, "call the provider");
    }
    for name in NAMES {
        bed.status(name, AgentStatus::Paused).await;
        let reason = bed.view(name).reason.expect("a reason");
        assert!(reason.message.contains("provider_unavailable mute"), "{reason}");
    }
    let runs = bed.script.runs.load(Ordering::SeqCst);
    bed.send("a", "call the provider");
    // Who had nothing to do with it does not notice.
    bed.send("other", "hello");
    bed.until("the other to answer", || done(&bed) == 1).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    let tried = bed.script.runs.load(Ordering::SeqCst) - runs - 1;
    assert!((1..8).contains(&tried), "{tried} trials in five minutes");
    for name in NAMES {
        assert_eq!((bed.view(name).status, bed.view(name).restarts), (AgentStatus::Paused, 0), "{name}");
    }
    bed.script.down.store(false, Ordering::SeqCst);
    bed.until("all to be done", || done(&bed) == 6).await;
    for name in NAMES {
        bed.status(name, AgentStatus::Idle).await;
        assert_eq!(bed.view(name).restarts, 0);
    }
}
