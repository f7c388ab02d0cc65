use std::time::Duration;

use greenroom_contract::status::AgentStatus;
use serde_json::json;

use crate::testing::{Bed, Fate};

const QUICK: &str = "limits: {max_attempts: 1}\nsupervision: {failures_before_restart: 1, max_restarts: 0}";

#[tokio::test(start_paused = true)]
async fn a_parked_agent_is_tried_again_after_a_while_and_parked_again_if_it_fails() {
    let bed = Bed::paused().await;
    bed.agent("wretch", QUICK).await;
    bed.send("wretch", "fail of-itself");
    bed.status("wretch", AgentStatus::Failed).await;
    assert!(bed.place("agents/wretch").budget.is_some_and(|budget| budget.next_at.is_some()), "people see when");
    bed.send("wretch", "fail again");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bed.store.fates().len(), 1, "it takes nothing");
    bed.until("the trial to fail", || bed.store.fates().len() == 2).await;
    bed.status("wretch", AgentStatus::Failed).await;
    bed.send("wretch", "hello");
    bed.until("the next trial to go well", || {
        bed.store.fates().iter().any(|(fate, ..)| *fate == Fate::Succeeded(json!("done")))
    })
    .await;
    bed.status("wretch", AgentStatus::Idle).await;
}
