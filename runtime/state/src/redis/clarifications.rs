//! Questions to people are the durable store's alone.

use greenroom_contract::{
    BoxFuture, ClarificationId,
    clarification::{Card, Clarification},
    execution::Fence,
    page::{Page, PageRequest},
    port::state::{ClarificationFilter, Clarifications, Decided, Decision, Escalated, Result, Wait},
};

use super::tiered::Tiered;

impl Clarifications for Tiered {
    fn wait(&self, fence: Fence, wait: Wait) -> BoxFuture<'_, Result<()>> {
        self.durable.wait(fence, wait)
    }

    fn decide(&self, id: ClarificationId, decision: Decision) -> BoxFuture<'_, Result<Decided>> {
        self.durable.decide(id, decision)
    }

    fn escalate(&self, id: ClarificationId, escalated: Escalated) -> BoxFuture<'_, Result<bool>> {
        self.durable.escalate(id, escalated)
    }

    fn clarification(&self, id: ClarificationId) -> BoxFuture<'_, Result<Option<Clarification>>> {
        self.durable.clarification(id)
    }

    fn clarifications(
        &self,
        filter: ClarificationFilter,
        page: PageRequest,
    ) -> BoxFuture<'_, Result<Page<Clarification>>> {
        self.durable.clarifications(filter, page)
    }

    fn note_card(&self, id: ClarificationId, card: Card) -> BoxFuture<'_, Result<Clarification>> {
        self.durable.note_card(id, card)
    }

    fn overdue(&self, limit: u32) -> BoxFuture<'_, Result<Vec<Clarification>>> {
        self.durable.overdue(limit)
    }
}
