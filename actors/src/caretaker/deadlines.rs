//! Questions and calls that nobody answered in time, and calls for whose answer nobody waits any more.

use std::{sync::Arc, time::Duration};

use greenroom_contract::{
    call::CallResult,
    clarification::Clarification,
    execution::Failure,
    port::state::{Decided, Decision, Error, Escalated, StaleCall},
    status::{ClarificationStatus, ExecutionStatus},
};

use crate::{execution::clarify, ports::Ports, service::every, supervisor::ChildSpec};

/// How often it is looked for questions that it is too late for: lateness is seen within this.
const EVERY: Duration = Duration::from_secs(1);
/// So many are ended at a time.
const BATCH: u32 = 100;
/// The code of a call that has no answer in time.
const LATE: &str = "timed_out";
/// Who answers where nobody did.
const NOBODY: &str = "nobody, in time";

/// The duty as a service of the node: an open question past its time is put to others, if its agent's file says so; else it gets
/// its default answer, or ends without one, and its execution goes on. A call of another agent that is late ends as `timed_out`,
/// and its execution is cancelled; so is one whose caller has ended. Every orchestrator has it; of several that are at it, the
/// first counts.
pub fn deadlines(ports: Arc<Ports>) -> ChildSpec {
    every("deadlines", EVERY, move || {
        let ports = Arc::clone(&ports);
        async move {
            let ended = async {
                end_overdue(&ports).await?;
                end_stale_calls(&ports).await
            };
            if let Err(error) = ended.await {
                // The monitor says when the store is down.
                tracing::debug!(%error, "Questions and calls past their time could not be ended now.");
            }
        }
    })
}

async fn end_overdue(ports: &Ports) -> Result<(), Error> {
    for asked in ports.state.overdue(BATCH).await? {
        let (id, trace_id) = (asked.id, asked.trace_id);
        if let Some(escalated) = escalated(&asked) {
            match ports.state.escalate(id, escalated).await {
                Ok(true) => {
                    tracing::warn!(%trace_id, clarification_id = %id, agent = %asked.agent, "A question was escalated.");
                    ports.outbox.ring();
                }
                // Somebody was first.
                Ok(false) => {}
                Err(error @ Error::Unavailable { .. }) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, %trace_id, clarification_id = %id, "A question cannot be escalated.")
                }
            }
            continue;
        }
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

async fn end_stale_calls(ports: &Ports) -> Result<(), Error> {
    for call in ports.state.stale_calls(BATCH).await? {
        let StaleCall { execution, agent, caller, caller_agent, trace_id, is_awaited } = call;
        let (status, failure) = match is_awaited {
            true => (ExecutionStatus::TimedOut, Failure::new(LATE, format!("{agent} did not answer in time"))),
            false => (ExecutionStatus::Cancelled, Failure::new("not_awaited", "nobody waits for the answer any more")),
        };
        if ports.state.end_call(CallResult::failed(execution, status, failure.clone())).await? {
            tracing::warn!(
                %trace_id, execution_id = %execution, %agent, caller = %caller, reason = failure.code,
                "A call of an agent was ended, and what was done for it is cancelled."
            );
        }
        // Whoever works on it finds out at its next write.
        ports.state.cancel(execution, failure).await?;
        ports.ended.tell(execution);
        if is_awaited {
            ports.ended.call_back(execution, &caller_agent);
        }
    }
    Ok(())
}

fn escalated(asked: &Clarification) -> Option<Escalated> {
    let (question, expired_at) = (asked.question.escalated()?, asked.expires_at?);
    let outbox = clarify::escalation(asked, &question).into_iter().collect();
    Some(Escalated { expired_at, question, reply_to: asked.reply_to.clone(), outbox })
}

fn too_late(asked: &Clarification) -> Decision {
    let status = ClarificationStatus::Expired;
    let answer = asked.question.default.clone();
    Decision {
        step: clarify::ending(asked, answer.as_ref()),
        outbox: clarify::news(asked, status, answer.as_ref(), NOBODY)
            .into_iter()
            .chain(clarify::redrawn(asked))
            .collect(),
        status,
        answer,
        by: NOBODY.to_owned(),
    }
}
