//! Before and after each write that a crash could split.

use std::{sync::Arc, time::Duration};

use greenroom_contract::{
    AgentId, BoxFuture, ExecutionId, MicroUsd, NodeId, TraceId,
    execution::{Claimed, DeadLetter, Execution, Failure, Fence, Intended, Settled, Step},
    page::{Page, PageRequest},
    port::memory::Memory,
    port::state::{
        Accepted, Arrival, Checkpoint, CheckpointKey, Claim, Conclusion, DeadLetterFilter, ExecutionFilter, Finish,
        NewDeadLetter, NodeLease, OutboxId, OutboxOutcome, OutboxRow, PendingRow, Release, Replayed, Reservation,
        Reserved, Result, Spent, State, Submission, Submitted, Swept, Wanted,
    },
};
use jiff::Timestamp;
use serde_json::Value;

use super::trigger::{Deed, Trigger};

/// A store that the node may die beside.
pub(super) struct Dangerous {
    pub(super) inner: Arc<dyn State>,
    pub(super) trigger: Arc<Trigger>,
}

impl Dangerous {
    /// Does a deed between its two places. One that failed has no place after it.
    pub(super) async fn between<T>(&self, deed: Deed, about: String, done: BoxFuture<'_, Result<T>>) -> Result<T> {
        self.trigger.before(deed, &about);
        let done = done.await?;
        self.trigger.after(deed, &about);
        Ok(done)
    }
}

impl State for Dangerous {
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<Submitted>> {
        let about = submission.event.event_type.clone();
        Box::pin(self.between(Deed::Door, about, self.inner.submit(submission)))
    }

    fn submit_leased(
        &self,
        submission: Submission,
        node: &NodeId,
    ) -> BoxFuture<'_, Result<(Submitted, Option<OutboxId>)>> {
        let about = submission.event.event_type.clone();
        Box::pin(self.between(Deed::Door, about, self.inner.submit_leased(submission, node)))
    }

    fn settle_outbox(&self, outcomes: Vec<(OutboxId, OutboxOutcome)>) -> BoxFuture<'_, Result<()>> {
        let words: Vec<&str> = outcomes.iter().map(|(_, outcome)| outcome_word(outcome)).collect();
        Box::pin(self.between(Deed::Mark, words.join(" "), self.inner.settle_outbox(outcomes)))
    }

    fn accept(&self, arrival: Arrival) -> BoxFuture<'_, Result<Accepted>> {
        let about = arrival.agent.to_string();
        Box::pin(self.between(Deed::Inbox, about, self.inner.accept(arrival)))
    }

    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Vec<Claimed>>> {
        let about = claim.agent.to_string();
        Box::pin(async move {
            self.trigger.before(Deed::Claim, &about);
            let claimed = self.inner.claim(claim).await?;
            if !claimed.is_empty() {
                self.trigger.after(Deed::Claim, &about);
            }
            Ok(claimed)
        })
    }

    fn journal(&self, fence: Fence, settle: Option<Settled>, intend: Option<Intended>) -> BoxFuture<'_, Result<()>> {
        let settled = settle.as_ref().map(|step| format!("seq {}", step.seq));
        let intended = intend.as_ref().map(|step| format!("{} {}", step.kind.as_str(), step.name));
        Box::pin(async move {
            self.before(Deed::Settle, settled.as_deref());
            self.before(Deed::Intend, intended.as_deref());
            self.inner.journal(fence, settle, intend).await?;
            self.after(Deed::Intend, intended.as_deref());
            self.after(Deed::Settle, settled.as_deref());
            Ok(())
        })
    }

    fn finish(&self, fence: Fence, finish: Finish) -> BoxFuture<'_, Result<()>> {
        let (settled, how) = (settled(&finish), how(&finish));
        Box::pin(self.around_end(settled, how, self.inner.finish(fence, finish)))
    }

    fn finish_leased(
        &self,
        fence: Fence,
        finish: Finish,
        node: &NodeId,
    ) -> BoxFuture<'_, Result<Vec<Option<OutboxId>>>> {
        let (settled, how) = (settled(&finish), how(&finish));
        Box::pin(self.around_end(settled, how, self.inner.finish_leased(fence, finish, node)))
    }

    // What is left has no places: it reads, or its repetition is its whole recovery.

    fn claim_outbox(&self, node: &NodeId, wanted: Wanted, lost: bool) -> BoxFuture<'_, Result<Vec<OutboxRow>>> {
        self.inner.claim_outbox(node, wanted, lost)
    }

    fn redrive_outbox(&self) -> BoxFuture<'_, Result<u64>> {
        self.inner.redrive_outbox()
    }

    fn backlog(&self, agent: &AgentId) -> BoxFuture<'_, Result<(u64, Option<Timestamp>)>> {
        self.inner.backlog(agent)
    }

    fn release(&self, fence: Fence, why: Release) -> BoxFuture<'_, Result<()>> {
        self.inner.release(fence, why)
    }

    fn heartbeat(&self, node: &NodeId, ttl: Duration) -> BoxFuture<'_, Result<()>> {
        self.inner.heartbeat(node, ttl)
    }

    fn take_back(&self, node: &NodeId) -> BoxFuture<'_, Result<u64>> {
        self.inner.take_back(node)
    }

    fn leave(&self, node: &NodeId) -> BoxFuture<'_, Result<u64>> {
        self.inner.leave(node)
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeLease>>> {
        self.inner.nodes()
    }

    fn due_agents(&self, limit: u32) -> BoxFuture<'_, Result<Vec<AgentId>>> {
        self.inner.due_agents(limit)
    }

    fn set_paused(&self, agent: &AgentId, paused: bool) -> BoxFuture<'_, Result<()>> {
        self.inner.set_paused(agent, paused)
    }

    fn paused(&self) -> BoxFuture<'_, Result<Vec<AgentId>>> {
        self.inner.paused()
    }

    fn cancel(&self, execution: ExecutionId, failure: Failure) -> BoxFuture<'_, Result<bool>> {
        self.inner.cancel(execution, failure)
    }

    fn checkpoint(&self, key: &CheckpointKey, messages: u32) -> BoxFuture<'_, Result<Checkpoint>> {
        self.inner.checkpoint(key, messages)
    }

    fn memories(&self, agent: &AgentId, limit: u32) -> BoxFuture<'_, Result<Vec<Memory>>> {
        self.inner.memories(agent, limit)
    }

    fn save_version(&self, agent: &AgentId, version: &str, spec: Value) -> BoxFuture<'_, Result<()>> {
        self.inner.save_version(agent, version, spec)
    }

    fn version(&self, agent: &AgentId, version: &str) -> BoxFuture<'_, Result<Option<Value>>> {
        self.inner.version(agent, version)
    }

    fn versions(&self, agent: &AgentId) -> BoxFuture<'_, Result<Vec<Value>>> {
        self.inner.versions(agent)
    }

    fn usage(&self, since: Timestamp) -> BoxFuture<'_, Result<Vec<(AgentId, Spent)>>> {
        self.inner.usage(since)
    }

    fn reserve(&self, wanted: Reservation) -> BoxFuture<'_, Result<Reserved>> {
        self.inner.reserve(wanted)
    }

    fn spent_by_node(&self, node: &NodeId, since: Timestamp) -> BoxFuture<'_, Result<MicroUsd>> {
        self.inner.spent_by_node(node, since)
    }

    fn execution(&self, id: ExecutionId) -> BoxFuture<'_, Result<Option<Execution>>> {
        self.inner.execution(id)
    }

    fn executions(&self, filter: ExecutionFilter, page: PageRequest) -> BoxFuture<'_, Result<Page<Execution>>> {
        self.inner.executions(filter, page)
    }

    fn steps(&self, id: ExecutionId) -> BoxFuture<'_, Result<Vec<Step>>> {
        self.inner.steps(id)
    }

    fn pending(&self, trace_id: TraceId) -> BoxFuture<'_, Result<Vec<PendingRow>>> {
        self.inner.pending(trace_id)
    }

    fn record_dead(&self, letter: NewDeadLetter) -> BoxFuture<'_, Result<i64>> {
        self.inner.record_dead(letter)
    }

    fn dead_letters(&self, filter: DeadLetterFilter, page: PageRequest) -> BoxFuture<'_, Result<Page<DeadLetter>>> {
        self.inner.dead_letters(filter, page)
    }

    fn dead_letter(&self, id: i64) -> BoxFuture<'_, Result<Option<DeadLetter>>> {
        self.inner.dead_letter(id)
    }

    fn replay(&self, id: i64) -> BoxFuture<'_, Result<Replayed>> {
        self.inner.replay(id)
    }

    fn purge(&self, id: i64) -> BoxFuture<'_, Result<bool>> {
        self.inner.purge(id)
    }

    fn sweep(&self, before: Timestamp, limit: u32) -> BoxFuture<'_, Result<Swept>> {
        self.inner.sweep(before, limit)
    }

    fn health(&self) -> BoxFuture<'_, Result<()>> {
        self.inner.health()
    }
}

impl Dangerous {
    /// An end settles the last step and commits.
    async fn around_end<T>(&self, settled: Option<String>, how: &str, end: BoxFuture<'_, Result<T>>) -> Result<T> {
        self.before(Deed::Settle, settled.as_deref());
        let done = self.between(Deed::Commit, how.to_owned(), end).await?;
        self.after(Deed::Settle, settled.as_deref());
        Ok(done)
    }

    fn before(&self, deed: Deed, about: Option<&str>) {
        if let Some(about) = about {
            self.trigger.before(deed, about);
        }
    }

    fn after(&self, deed: Deed, about: Option<&str>) {
        if let Some(about) = about {
            self.trigger.after(deed, about);
        }
    }
}

fn settled(finish: &Finish) -> Option<String> {
    finish.settle.as_ref().map(|step| format!("seq {}", step.seq))
}

fn how(finish: &Finish) -> &'static str {
    match &finish.conclusion {
        Conclusion::Succeeded(_) => "succeeded",
        Conclusion::Retry { .. } => "retry",
        Conclusion::Ended { status, .. } => status.as_str(),
    }
}

fn outcome_word(outcome: &OutboxOutcome) -> &'static str {
    match outcome {
        OutboxOutcome::Published => "published",
        OutboxOutcome::Delivered => "delivered",
        OutboxOutcome::Retry { .. } => "retry",
        OutboxOutcome::Dead(_) => "dead",
    }
}
