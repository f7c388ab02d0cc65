//! Before and after a wait for people, and its end.

use greenroom_contract::{
    BoxFuture, ClarificationId,
    clarification::{Card, Clarification},
    execution::Fence,
    page::{Page, PageRequest},
    port::state::{ClarificationFilter, Clarifications, Decided, Decision, Escalated, Result, Wait},
};

use super::{state::Dangerous, trigger::Deed};

impl Clarifications for Dangerous {
    fn wait(&self, fence: Fence, wait: Wait) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.between(Deed::Commit, "waiting".to_owned(), self.inner.wait(fence, wait)))
    }

    fn decide(&self, id: ClarificationId, decision: Decision) -> BoxFuture<'_, Result<Decided>> {
        Box::pin(self.between(Deed::Answer, id.to_string(), self.inner.decide(id, decision)))
    }

    fn escalate(&self, id: ClarificationId, escalated: Escalated) -> BoxFuture<'_, Result<bool>> {
        self.inner.escalate(id, escalated)
    }

    fn clarification(&self, id: ClarificationId) -> BoxFuture<'_, Result<Option<Clarification>>> {
        self.inner.clarification(id)
    }

    fn clarifications(
        &self,
        filter: ClarificationFilter,
        page: PageRequest,
    ) -> BoxFuture<'_, Result<Page<Clarification>>> {
        self.inner.clarifications(filter, page)
    }

    fn note_card(&self, id: ClarificationId, card: Card) -> BoxFuture<'_, Result<Clarification>> {
        Box::pin(self.between(Deed::Card, id.to_string(), self.inner.note_card(id, card)))
    }

    fn overdue(&self, limit: u32) -> BoxFuture<'_, Result<Vec<Clarification>>> {
        self.inner.overdue(limit)
    }
}
