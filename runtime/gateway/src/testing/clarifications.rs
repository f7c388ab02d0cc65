//! A store with one question.
#![expect(clippy::unimplemented, reason = "no door calls these")]

use greenroom_contract::{
    BoxFuture, ClarificationId,
    clarification::{Card, Clarification, Question},
    execution::Fence,
    page::{Page, PageRequest},
    port::state::{ClarificationFilter, Clarifications, Decided, Decision, Escalated, Result, Wait},
    status::{ClarificationStatus, ExecutionStatus, Purpose},
};
use jiff::Timestamp;

use super::{NOW, execution, store::FakeState};

/// The question of the execution that there is.
pub(crate) fn question(id: ClarificationId) -> Clarification {
    let execution = execution(ExecutionStatus::Waiting);
    Clarification {
        id,
        execution_id: execution.id,
        agent: execution.agent,
        trace_id: execution.trace_id,
        event_type: execution.event_type,
        attempt: 1,
        seq: 1,
        purpose: Purpose::Tool,
        question: Question::choice("Ship it?", ["yes", "no"]),
        status: ClarificationStatus::Open,
        asked_at: Timestamp::from_second(NOW).unwrap(),
        expires_at: None,
        answer: None,
        answered_by: None,
        answered_at: None,
        reply_to: None,
        cards: Vec::new(),
    }
}

/// Its id.
pub(crate) fn question_id() -> ClarificationId {
    ClarificationId::of(execution(ExecutionStatus::Waiting).id, 1, 1)
}

impl Clarifications for FakeState {
    fn wait(&self, _: Fence, _: Wait) -> BoxFuture<'_, Result<()>> {
        unimplemented!()
    }

    fn decide(&self, _: ClarificationId, _: Decision) -> BoxFuture<'_, Result<Decided>> {
        unimplemented!()
    }

    fn escalate(&self, _: ClarificationId, _: Escalated) -> BoxFuture<'_, Result<bool>> {
        unimplemented!()
    }

    fn clarification(&self, id: ClarificationId) -> BoxFuture<'_, Result<Option<Clarification>>> {
        let found = self.question.lock().unwrap().clone().unwrap_or_else(|| question(question_id()));
        Box::pin(async move { Ok((id == found.id).then_some(found)) })
    }

    fn clarifications(
        &self,
        filter: ClarificationFilter,
        _: PageRequest,
    ) -> BoxFuture<'_, Result<Page<Clarification>>> {
        let found = filter.status.is_none_or(|status| status == ClarificationStatus::Open);
        Box::pin(async move { Ok(Page::whole(found.then(|| question(question_id())).into_iter().collect())) })
    }

    fn note_card(&self, _: ClarificationId, card: Card) -> BoxFuture<'_, Result<Clarification>> {
        let mut held = self.question.lock().unwrap();
        let question = held.get_or_insert_with(|| question(question_id()));
        question.cards.push(card);
        let question = question.clone();
        Box::pin(async move { Ok(question) })
    }

    fn overdue(&self, _: u32) -> BoxFuture<'_, Result<Vec<Clarification>>> {
        unimplemented!()
    }
}
