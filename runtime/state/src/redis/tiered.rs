//! The decorator: a durable store with the hot tier before it.

use std::{sync::Arc, time::Duration};

use greenroom_contract::{
    AgentId, BoxFuture, ExecutionId, MicroUsd, NodeId, TraceId,
    execution::{Claimed, DeadLetter, Execution, Failure, Fence, Intended, Settled, Step},
    page::{Page, PageRequest},
    port::state::{
        Accepted, Arrival, Checkpoint, CheckpointKey, Claim, DeadLetterFilter, ExecutionFilter, Finish, NewCheckpoint,
        NewDeadLetter, NodeLease, OutboxId, OutboxOutcome, OutboxRow, PendingRow, Release, Replayed, Reservation,
        Reserved, Result, Spent, State, Submission, Submitted, Swept,
    },
    task,
};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::{
    entry::{self, Latest},
    tier::RedisTier,
};

/// Entries on their way to Redis at a time. What is too much is not written, and read from the durable store.
const WRITES: usize = 64;

/// A store that answers from the hot tier what it can. Everything else, and every decision, is the durable store's.
#[derive(Clone)]
pub struct Tiered {
    durable: Arc<dyn State>,
    tier: RedisTier,
    writes: Arc<Semaphore>,
}

impl Tiered {
    /// Puts `tier` before `durable`.
    pub fn new(durable: Arc<dyn State>, tier: RedisTier) -> Self {
        Self { durable, tier, writes: Arc::new(Semaphore::new(WRITES)) }
    }

    async fn latest(&self, key: CheckpointKey, messages: u32) -> Result<Checkpoint> {
        if self.tier.is_open() {
            return self.durable.checkpoint(&key, messages).await;
        }
        let place = self.place(&key);
        let (version, entry) = tokio::join!(self.durable.checkpoint_version(&key), self.tier.get(&place));
        let version = version?;
        if version == 0 {
            return Ok(Checkpoint::default());
        }
        // Only the durable version is believed; the entry saves fetching what belongs to it.
        let found = entry.and_then(|bytes| entry::read::<Latest>(&bytes)).filter(|(cached, _)| *cached == version);
        if let Some(checkpoint) = found.and_then(|(version, latest)| latest.answer(version, messages)) {
            return Ok(checkpoint);
        }
        let checkpoint = self.durable.checkpoint(&key, messages).await?;
        if let Some(bytes) = entry::write(checkpoint.version, &Latest::new(&checkpoint, messages)) {
            let tier = self.tier.clone();
            self.behind(place, move |place| async move { tier.set(place, bytes).await });
        }
        Ok(checkpoint)
    }

    async fn end(&self, fence: Fence, finish: Finish) -> Result<()> {
        let next = finish.checkpoint.clone();
        self.durable.finish(fence, finish).await?;
        if let Some(next) = next {
            self.advance(next);
        }
        Ok(())
    }

    /// Brings an entry on to the version that was just committed, behind the caller's back. An entry that is not the
    /// version before stays: nobody will believe it, and the next reader replaces it.
    fn advance(&self, next: NewCheckpoint) {
        let place = self.place(&next.key);
        let tier = self.tier.clone();
        self.behind(place, move |place| async move {
            let Some(bytes) = tier.get(&place).await else { return };
            let before = entry::read::<Latest>(&bytes).filter(|(version, _)| *version == next.replaces);
            if let Some((version, latest)) = before
                && let Some(bytes) = entry::write(version + 1, &latest.advance(&next))
            {
                tier.set(place, bytes).await;
            }
        });
    }

    async fn shown(&self, id: ExecutionId) -> Result<Option<Execution>> {
        let place = self.tier.key("execution", &id.to_string());
        if let Some(bytes) = self.tier.get(&place).await
            && let Some((_, execution)) = entry::read::<Execution>(&bytes)
        {
            return Ok(Some(execution));
        }
        let found = self.durable.execution(id).await?;
        // One that has ended never changes.
        if let Some(execution) = found.as_ref().filter(|execution| execution.status.is_final())
            && let Some(bytes) = entry::write(1, execution)
        {
            let tier = self.tier.clone();
            self.behind(place, move |place| async move { tier.set(place, bytes).await });
        }
        Ok(found)
    }

    /// Writes to Redis without anybody waiting for it.
    fn behind<F, Fut>(&self, place: String, write: F)
    where
        F: FnOnce(String) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        match Arc::clone(&self.writes).try_acquire_owned() {
            Ok(permit) if !self.tier.is_open() => {
                task::spawn("cache-write", async move {
                    write(place).await;
                    drop(permit);
                });
            }
            _ => self.tier.missed(place),
        }
    }

    fn place(&self, key: &CheckpointKey) -> String {
        self.tier.key("checkpoint", &format!("{}:{}", key.agent, key.conversation))
    }
}

impl std::fmt::Debug for Tiered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tiered").field("tier", &self.tier).finish_non_exhaustive()
    }
}

impl State for Tiered {
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<Submitted>> {
        self.durable.submit(submission)
    }

    fn submit_leased(
        &self,
        submission: Submission,
        node: &NodeId,
    ) -> BoxFuture<'_, Result<(Submitted, Option<OutboxId>)>> {
        self.durable.submit_leased(submission, node)
    }

    fn claim_outbox(&self, node: &NodeId, limit: u32) -> BoxFuture<'_, Result<Vec<OutboxRow>>> {
        self.durable.claim_outbox(node, limit)
    }

    fn settle_outbox(&self, outcomes: Vec<(OutboxId, OutboxOutcome)>) -> BoxFuture<'_, Result<()>> {
        self.durable.settle_outbox(outcomes)
    }

    fn redrive_outbox(&self) -> BoxFuture<'_, Result<u64>> {
        self.durable.redrive_outbox()
    }

    fn accept(&self, arrival: Arrival) -> BoxFuture<'_, Result<Accepted>> {
        self.durable.accept(arrival)
    }

    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Vec<Claimed>>> {
        self.durable.claim(claim)
    }

    fn backlog(&self, agent: &AgentId) -> BoxFuture<'_, Result<(u64, Option<Timestamp>)>> {
        self.durable.backlog(agent)
    }

    fn release(&self, fence: Fence, why: Release) -> BoxFuture<'_, Result<()>> {
        self.durable.release(fence, why)
    }

    fn heartbeat(&self, node: &NodeId, ttl: Duration) -> BoxFuture<'_, Result<()>> {
        self.durable.heartbeat(node, ttl)
    }

    fn take_back(&self, node: &NodeId) -> BoxFuture<'_, Result<u64>> {
        self.durable.take_back(node)
    }

    fn leave(&self, node: &NodeId) -> BoxFuture<'_, Result<u64>> {
        self.durable.leave(node)
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeLease>>> {
        self.durable.nodes()
    }

    fn due_agents(&self, limit: u32) -> BoxFuture<'_, Result<Vec<AgentId>>> {
        self.durable.due_agents(limit)
    }

    fn set_paused(&self, agent: &AgentId, paused: bool) -> BoxFuture<'_, Result<()>> {
        self.durable.set_paused(agent, paused)
    }

    fn paused(&self) -> BoxFuture<'_, Result<Vec<AgentId>>> {
        self.durable.paused()
    }

    fn journal(&self, fence: Fence, settle: Option<Settled>, intend: Option<Intended>) -> BoxFuture<'_, Result<()>> {
        self.durable.journal(fence, settle, intend)
    }

    fn finish(&self, fence: Fence, finish: Finish) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.end(fence, finish))
    }

    fn cancel(&self, execution: ExecutionId, failure: Failure) -> BoxFuture<'_, Result<bool>> {
        self.durable.cancel(execution, failure)
    }

    fn checkpoint(&self, key: &CheckpointKey, messages: u32) -> BoxFuture<'_, Result<Checkpoint>> {
        Box::pin(self.latest(key.clone(), messages))
    }

    fn save_version(&self, agent: &AgentId, version: &str, spec: Value) -> BoxFuture<'_, Result<()>> {
        self.durable.save_version(agent, version, spec)
    }

    fn version(&self, agent: &AgentId, version: &str) -> BoxFuture<'_, Result<Option<Value>>> {
        self.durable.version(agent, version)
    }

    fn spent(&self, agent: &AgentId, since: Timestamp) -> BoxFuture<'_, Result<Spent>> {
        self.durable.spent(agent, since)
    }

    fn reserve(&self, wanted: Reservation) -> BoxFuture<'_, Result<Reserved>> {
        self.durable.reserve(wanted)
    }

    fn spent_by_node(&self, node: &NodeId, since: Timestamp) -> BoxFuture<'_, Result<MicroUsd>> {
        self.durable.spent_by_node(node, since)
    }

    fn execution(&self, id: ExecutionId) -> BoxFuture<'_, Result<Option<Execution>>> {
        Box::pin(self.shown(id))
    }

    fn executions(&self, filter: ExecutionFilter, page: PageRequest) -> BoxFuture<'_, Result<Page<Execution>>> {
        self.durable.executions(filter, page)
    }

    fn steps(&self, id: ExecutionId) -> BoxFuture<'_, Result<Vec<Step>>> {
        self.durable.steps(id)
    }

    fn pending(&self, trace_id: TraceId) -> BoxFuture<'_, Result<Vec<PendingRow>>> {
        self.durable.pending(trace_id)
    }

    fn record_dead(&self, letter: NewDeadLetter) -> BoxFuture<'_, Result<i64>> {
        self.durable.record_dead(letter)
    }

    fn dead_letters(&self, filter: DeadLetterFilter, page: PageRequest) -> BoxFuture<'_, Result<Page<DeadLetter>>> {
        self.durable.dead_letters(filter, page)
    }

    fn dead_letter(&self, id: i64) -> BoxFuture<'_, Result<Option<DeadLetter>>> {
        self.durable.dead_letter(id)
    }

    fn replay(&self, id: i64) -> BoxFuture<'_, Result<Replayed>> {
        self.durable.replay(id)
    }

    fn purge(&self, id: i64) -> BoxFuture<'_, Result<bool>> {
        self.durable.purge(id)
    }

    fn sweep(&self, before: Timestamp, limit: u32) -> BoxFuture<'_, Result<Swept>> {
        self.durable.sweep(before, limit)
    }

    fn health(&self) -> BoxFuture<'_, Result<()>> {
        self.durable.health()
    }

    fn checkpoint_version(&self, key: &CheckpointKey) -> BoxFuture<'_, Result<u64>> {
        self.durable.checkpoint_version(key)
    }
}
