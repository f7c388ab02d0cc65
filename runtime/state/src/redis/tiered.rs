//! The decorator: a durable store with the hot tier before it.

use std::{sync::Arc, time::Duration};

use greenroom_contract::{
    AgentId, BoxFuture, ExecutionId, MicroUsd, NodeId, TraceId,
    execution::{Claimed, DeadLetter, Execution, Failure, Fence, Intended, Settled, Step},
    page::{Page, PageRequest},
    port::memory::Memory,
    port::state::{
        Accepted, Arrival, Checkpoint, CheckpointKey, Claim, DeadLetterFilter, ExecutionFilter, Finish, NewCheckpoint,
        NewDeadLetter, NodeLease, OutboxId, OutboxOutcome, OutboxRow, PendingRow, Release, Replayed, Reservation,
        Reserved, Result, Spent, State, Submission, Submitted, Swept, Wanted,
    },
    task,
};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::{
    entry::{self, Latest},
    near::{JustEnded, Near},
    tier::RedisTier,
};

/// Entries on their way to Redis at a time. What is too much is not written, and read from the durable store.
const WRITES: usize = 64;

/// A store that answers from the hot tier what it can. Everything else, and every decision, is the durable store's.
#[derive(Clone)]
pub struct Tiered {
    pub(super) durable: Arc<dyn State>,
    tier: RedisTier,
    near: Arc<Near>,
    ended: Arc<JustEnded>,
    writes: Arc<Semaphore>,
}

impl Tiered {
    /// Puts `tier` before `durable`.
    pub fn new(durable: Arc<dyn State>, tier: RedisTier) -> Self {
        let writes = Arc::new(Semaphore::new(WRITES));
        Self { durable, tier, near: Arc::default(), ended: Arc::default(), writes }
    }

    async fn latest(&self, key: CheckpointKey, messages: u32) -> Result<Checkpoint> {
        if self.tier.is_open() {
            return self.durable.checkpoint(&key, messages).await;
        }
        let place = self.place(&key);
        // Only the durable version is believed; what is near or in Redis saves fetching what belongs to it.
        let (version, entry) = match self.near.has(&place) {
            true => (self.durable.checkpoint_version(&key).await?, None),
            false => {
                let (version, entry) = tokio::join!(self.durable.checkpoint_version(&key), self.tier.get(&place));
                (version?, entry)
            }
        };
        if version == 0 {
            return Ok(Checkpoint::default());
        }
        if let Some(checkpoint) = self.near.answer(&place, version, messages) {
            return Ok(checkpoint);
        }
        if let Some(bytes) = entry
            && let Some((found, latest)) = entry::read::<Latest>(&bytes).filter(|(found, _)| *found == version)
            && let Some(checkpoint) = latest.answer(version, messages)
        {
            self.near.keep(&place, found, latest, bytes.len());
            return Ok(checkpoint);
        }
        let checkpoint = self.durable.checkpoint(&key, messages).await?;
        let latest = Latest::new(&checkpoint, messages);
        if let Some(bytes) = entry::write(checkpoint.version, &latest) {
            self.near.keep(&place, checkpoint.version, latest, bytes.len());
            let tier = self.tier.clone();
            self.behind(place, move |place| async move { tier.set(place, bytes).await });
        }
        Ok(checkpoint)
    }

    /// Awaits an end, and brings the entry of its checkpoint on.
    async fn end<T>(&self, id: ExecutionId, next: Option<NewCheckpoint>, end: BoxFuture<'_, Result<T>>) -> Result<T> {
        let done = end.await?;
        self.ended.add(id);
        if let Some(next) = next {
            self.advance(next);
        }
        Ok(done)
    }

    /// Brings an entry on to the version that was just committed, behind the caller's back. An entry that is not the
    /// version before stays: nobody will believe it, and the next reader replaces it.
    fn advance(&self, next: NewCheckpoint) {
        let place = self.place(&next.key);
        let (tier, near) = (self.tier.clone(), Arc::clone(&self.near));
        let before = near.take(&place, next.replaces);
        self.behind(place, move |place| async move {
            let before = match before {
                Some(latest) => latest,
                None => {
                    let Some(bytes) = tier.get(&place).await else { return };
                    let found = entry::read::<Latest>(&bytes).filter(|(version, _)| *version == next.replaces);
                    let Some((_, latest)) = found else { return };
                    latest
                }
            };
            let version = next.replaces + 1;
            let latest = before.advance(next);
            if let Some(bytes) = entry::write(version, &latest) {
                near.keep(&place, version, latest, bytes.len());
                tier.set(place, bytes).await;
            }
        });
    }

    /// An execution that is asked for again is kept: most are asked for once, by whoever waited for their end.
    async fn shown(&self, id: ExecutionId) -> Result<Option<Execution>> {
        if self.ended.take(id) {
            return self.durable.execution(id).await;
        }
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

    /// Drops what is near of a version.
    pub(super) fn forget(&self, key: &CheckpointKey, version: u64) {
        drop(self.near.take(&self.place(key), version));
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

    fn claim_outbox(&self, node: &NodeId, wanted: Wanted, lost: bool) -> BoxFuture<'_, Result<Vec<OutboxRow>>> {
        self.durable.claim_outbox(node, wanted, lost)
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
        let next = finish.checkpoint.clone();
        Box::pin(self.end(fence.execution, next, self.durable.finish(fence, finish)))
    }

    fn finish_leased(
        &self,
        fence: Fence,
        finish: Finish,
        node: &NodeId,
    ) -> BoxFuture<'_, Result<Vec<Option<OutboxId>>>> {
        let next = finish.checkpoint.clone();
        Box::pin(self.end(fence.execution, next, self.durable.finish_leased(fence, finish, node)))
    }

    fn cancel(&self, execution: ExecutionId, failure: Failure) -> BoxFuture<'_, Result<bool>> {
        self.durable.cancel(execution, failure)
    }

    fn checkpoint(&self, key: &CheckpointKey, messages: u32) -> BoxFuture<'_, Result<Checkpoint>> {
        Box::pin(self.latest(key.clone(), messages))
    }

    fn memories(&self, agent: &AgentId, limit: u32) -> BoxFuture<'_, Result<Vec<Memory>>> {
        self.durable.memories(agent, limit)
    }

    fn save_version(&self, agent: &AgentId, version: &str, spec: Value) -> BoxFuture<'_, Result<()>> {
        self.durable.save_version(agent, version, spec)
    }

    fn version(&self, agent: &AgentId, version: &str) -> BoxFuture<'_, Result<Option<Value>>> {
        self.durable.version(agent, version)
    }

    fn versions(&self, agent: &AgentId) -> BoxFuture<'_, Result<Vec<Value>>> {
        self.durable.versions(agent)
    }

    fn usage(&self, since: Timestamp) -> BoxFuture<'_, Result<Vec<(AgentId, Spent)>>> {
        self.durable.usage(since)
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
