//! An answer of a person, from whatever door.

use greenroom_contract::{
    ClarificationId,
    clarification::Clarification,
    port::{
        operator::Error,
        state::{Decided, Decision},
    },
    status::ClarificationStatus,
};
use serde_json::Value;

use super::{door::not_found, registry::Orchestrator};
use crate::execution::clarify;

/// The longest name of who answers, in characters.
const LONGEST_NAME: usize = 200;

impl Orchestrator {
    pub(super) async fn answer_question(
        &self,
        id: ClarificationId,
        answer: Value,
        by: String,
    ) -> Result<Clarification, Error> {
        let ports = &self.inner.ports;
        let asked = ports.state.clarification(id).await?.ok_or_else(|| not_found("clarification", &id))?;
        if asked.status != ClarificationStatus::Open {
            return Err(too_late(&asked));
        }
        if by.trim().is_empty() || by.chars().count() > LONGEST_NAME {
            return Err(Error::Invalid { why: format!("who answers has a name of 1 to {LONGEST_NAME} characters") });
        }
        if !asked.question.may_be_answered_by(&by) {
            let who = asked.question.approvers.join(", ");
            return Err(Error::Forbidden { why: format!("{by} may not answer this question; {who} may") });
        }
        let answer = asked.question.read(&answer).map_err(|why| Error::Invalid { why })?;
        let status = ClarificationStatus::Answered;
        let decision = Decision {
            step: clarify::ending(&asked, Some(&answer)),
            outbox: clarify::news(&asked, status, Some(&answer), &by)
                .into_iter()
                .chain(clarify::redrawn(&asked))
                .collect(),
            status,
            answer: Some(answer),
            by,
        };
        match ports.state.decide(id, decision).await? {
            Decided::Now(decided) => {
                tracing::info!(
                    trace_id = %decided.trace_id, clarification_id = %id, execution_id = %decided.execution_id,
                    agent = %decided.agent, by = decided.answered_by, "A question was answered."
                );
                ports.outbox.ring();
                // Here it goes on at once; another node's scout looks every second.
                self.poke(&decided.agent, true);
                Ok(decided)
            }
            Decided::Before(decided) => Err(too_late(&decided)),
        }
    }
}

fn too_late(asked: &Clarification) -> Error {
    let at = asked.answered_at.map(|at| format!(" at {at:.0}")).unwrap_or_default();
    let why = match asked.status {
        ClarificationStatus::Cancelled => "the execution that asked was cancelled".to_owned(),
        ClarificationStatus::Expired => format!("it is too late: nobody had answered in time{at}"),
        _ => format!("{} has answered already{at}", asked.answered_by.as_deref().unwrap_or("somebody")),
    };
    Error::Conflict { why }
}
