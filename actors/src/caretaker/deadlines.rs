//! Questions that nobody answered in time.

use std::{sync::Arc, time::Duration};

use greenroom_contract::{
    clarification::Clarification,
    port::state::{Decided, Decision, Error},
    status::ClarificationStatus,
};
use tokio::time::MissedTickBehavior;

use crate::{execution::clarify, ports::Ports, service::service, supervisor::ChildSpec};

/// How often it is looked for questions that it is too late for: lateness is seen within this.
const EVERY: Duration = Duration::from_secs(1);
/// So many are ended at a time.
const BATCH: u32 = 100;
/// Who answers where nobody did.
const NOBODY: &str = "nobody, in time";

/// The duty as a service of the node: an open question past its time gets its default answer, or ends without one; either
/// way its execution goes on. Every orchestrator has it; of several that are at it, the first counts.
pub fn deadlines(ports: Arc<Ports>) -> ChildSpec {
    service("deadlines", move |stop| {
        let ports = Arc::clone(&ports);
        async move {
            let mut tick = tokio::time::interval(EVERY);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    _ = tick.tick() => {}
                }
                if let Err(error) = end_overdue(&ports).await {
                    // The monitor says when the store is down.
                    tracing::debug!(%error, "Questions past their time could not be ended now.");
                }
            }
        }
    })
}

async fn end_overdue(ports: &Ports) -> Result<(), Error> {
    for asked in ports.state.overdue(BATCH).await? {
        let (id, trace_id) = (asked.id, asked.trace_id);
        match ports.state.decide(id, too_late(&asked)).await {
            Ok(Decided::Now(_)) => {
                tracing::info!(%trace_id, clarification_id = %id, agent = %asked.agent, "Nobody answered a question in time.");
                ports.outbox.ring();
            }
            // Somebody was first.
            Ok(Decided::Before(_)) => {}
            Err(error @ Error::Unavailable { .. }) => return Err(error),
            Err(error) => tracing::warn!(%error, %trace_id, clarification_id = %id, "A question cannot be ended."),
        }
    }
    Ok(())
}

fn too_late(asked: &Clarification) -> Decision {
    let status = ClarificationStatus::Expired;
    let answer = asked.question.default.clone();
    Decision {
        step: clarify::ending(asked, answer.as_ref()),
        outbox: clarify::news(asked, status, answer.as_ref(), NOBODY).into_iter().collect(),
        status,
        answer,
        by: NOBODY.to_owned(),
    }
}
