//! The port, and what only a test may ask.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use greenroom_contract::{
    AgentId, BoxFuture, Clock, ExecutionId, MicroUsd, NodeId, TraceId,
    clock::{from_millis, to_millis},
    execution::{Claimed, DeadLetter, Execution, Failure, Fence, Intended, Settled, Step},
    page::{Page, PageRequest},
    port::memory::Memory,
    port::state::{
        Accepted, Arrival, Checkpoint, CheckpointKey, Claim, DeadLetterFilter, Error, ExecutionFilter, Finish,
        NewDeadLetter, NodeLease, OutboxId, OutboxOutcome, OutboxRow, PendingRow, Release, Replayed, Reservation,
        Reserved, Result, Spent, State, Submission, Submitted, Swept, Wanted,
    },
    status::ExecutionStatus,
};
use jiff::Timestamp;
use serde_json::Value;

use super::tables::Tables;
use crate::memory::Faults;

/// The store.
pub struct MemoryState {
    /// Its switches.
    pub faults: Faults,
    clock: Arc<dyn Clock>,
    tables: Arc<Mutex<Tables>>,
}

impl MemoryState {
    /// An empty store by this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { faults: Faults::default(), clock, tables: Arc::default() }
    }

    /// The same store as another node reaches it: with switches of its own.
    pub fn from_another_node(&self) -> Self {
        Self { faults: Faults::default(), clock: Arc::clone(&self.clock), tables: Arc::clone(&self.tables) }
    }

    /// How many executions there are in each state. Those that have not reached the inbox count as queued.
    pub fn tally(&self) -> BTreeMap<&'static str, u64> {
        self.look(|tables| {
            let mut counts = BTreeMap::new();
            for row in tables.rows.iter().filter(|row| !row.swept) {
                *counts.entry(row.status.as_str()).or_insert(0) += 1;
            }
            let promised = tables.promised.keys().filter(|id| !tables.by_id.contains_key(id)).count() as u64;
            *counts.entry(ExecutionStatus::Queued.as_str()).or_insert(0) += promised;
            counts
        })
    }

    /// Whether an execution has ended well.
    pub fn has_succeeded(&self, id: ExecutionId) -> bool {
        self.look(|tables| tables.row(id).is_some_and(|row| row.status == ExecutionStatus::Succeeded))
    }

    /// Executions that a door took in and that have not reached the inbox.
    pub fn promised(&self) -> Vec<ExecutionId> {
        self.look(|tables| tables.promised.keys().copied().collect())
    }

    /// Every execution as `(id, agent, status)`, in the order of arrival.
    pub fn all(&self) -> Vec<(ExecutionId, AgentId, ExecutionStatus)> {
        self.look(|tables| {
            let rows = tables.rows.iter().filter(|row| !row.swept);
            rows.map(|row| (row.id, row.agent.clone(), row.status)).collect()
        })
    }

    /// The executions that are claimed.
    pub fn claimed(&self) -> Vec<ExecutionId> {
        let all = self.all().into_iter();
        all.filter(|(_, _, status)| *status == ExecutionStatus::Running).map(|(id, ..)| id).collect()
    }

    /// Whether the outcome of the call with this key is written: then it must not be made again.
    pub fn is_settled(&self, idempotency_key: &str) -> bool {
        self.look(|tables| tables.settled.contains(idempotency_key))
    }

    /// How many rows wait in the outbox.
    pub fn outbox_len(&self) -> usize {
        self.look(|tables| tables.outbox.len())
    }

    /// What went wrong with the rows that wait in the outbox, one line for each.
    pub fn outbox_lines(&self) -> Vec<String> {
        self.look(|tables| {
            let line = |(id, out): (&i64, &super::tables::Out)| {
                let topic = out.event().map(|(event, _)| event.event_type.clone()).unwrap_or_default();
                format!("{id} {topic} published={} attempts={} {:?}", out.published, out.attempts, out.last_error)
            };
            tables.outbox.iter().map(line).collect()
        })
    }

    fn look<T>(&self, look: impl FnOnce(&Tables) -> T) -> T {
        look(&self.tables.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A transaction: it happens at the first poll, wholly or not; its answer is on the way a little longer.
    pub(super) fn call<'a, T: Send + 'a>(
        &'a self,
        act: impl FnOnce(&mut Tables, i64) -> Result<T> + Send + 'a,
    ) -> BoxFuture<'a, Result<T>> {
        Box::pin(async move {
            let done = match self.faults.check() {
                Ok(()) => {
                    let now = to_millis(self.clock.now());
                    act(&mut self.tables.lock().unwrap_or_else(PoisonError::into_inner), now)
                }
                Err(reason) => Err(Error::Unavailable { reason }),
            };
            self.faults.answer().await;
            done
        })
    }
}

impl State for MemoryState {
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<Submitted>> {
        self.call(|tables, now| tables.submit(submission, now))
    }

    fn submit_leased(
        &self,
        submission: Submission,
        node: &NodeId,
    ) -> BoxFuture<'_, Result<(Submitted, Option<OutboxId>)>> {
        let node = node.clone();
        self.call(move |tables, now| Ok((tables.submit_owned(submission, &node, now)?, None)))
    }

    fn claim_outbox(&self, node: &NodeId, wanted: Wanted, lost: bool) -> BoxFuture<'_, Result<Vec<OutboxRow>>> {
        let node = node.clone();
        self.call(move |tables, now| Ok(tables.claim_outbox(&node, wanted, lost, now)))
    }

    fn settle_outbox(&self, outcomes: Vec<(OutboxId, OutboxOutcome)>) -> BoxFuture<'_, Result<()>> {
        self.call(|tables, now| {
            outcomes.into_iter().for_each(|(id, outcome)| tables.settle_outbox(id, outcome, now));
            Ok(())
        })
    }

    fn redrive_outbox(&self) -> BoxFuture<'_, Result<u64>> {
        self.call(|tables, now| Ok(tables.redrive(now)))
    }

    fn accept(&self, arrival: Arrival) -> BoxFuture<'_, Result<Accepted>> {
        self.call(|tables, now| Ok(tables.accept(arrival, now)))
    }

    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Vec<Claimed>>> {
        self.call(move |tables, now| Ok(tables.claim(&claim, now)))
    }

    fn backlog(&self, agent: &AgentId) -> BoxFuture<'_, Result<(u64, Option<Timestamp>)>> {
        let agent = agent.clone();
        self.call(move |tables, _| {
            let (count, due) = tables.backlog(&agent);
            Ok((count, due.map(from_millis)))
        })
    }

    fn release(&self, fence: Fence, why: Release) -> BoxFuture<'_, Result<()>> {
        self.call(move |tables, now| tables.release(fence, why, now))
    }

    fn heartbeat(&self, node: &NodeId, ttl: Duration) -> BoxFuture<'_, Result<()>> {
        let node = node.clone();
        self.call(move |tables, now| {
            tables.heartbeat(&node, now + ttl.as_millis() as i64);
            Ok(())
        })
    }

    fn take_back(&self, node: &NodeId) -> BoxFuture<'_, Result<u64>> {
        let node = node.clone();
        self.call(move |tables, now| Ok(tables.free(&node, now, 1)))
    }

    fn leave(&self, node: &NodeId) -> BoxFuture<'_, Result<u64>> {
        let node = node.clone();
        self.call(move |tables, now| Ok(tables.leave(&node, now)))
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeLease>>> {
        self.call(|tables, now| Ok(tables.leases(now)))
    }

    fn due_agents(&self, limit: u32) -> BoxFuture<'_, Result<Vec<AgentId>>> {
        self.call(move |tables, now| Ok(tables.due_agents(limit, now)))
    }

    fn set_paused(&self, agent: &AgentId, paused: bool) -> BoxFuture<'_, Result<()>> {
        let agent = agent.clone();
        self.call(move |tables, _| {
            if paused {
                tables.paused.insert(agent)
            } else {
                tables.paused.remove(&agent)
            };
            Ok(())
        })
    }

    fn paused(&self) -> BoxFuture<'_, Result<Vec<AgentId>>> {
        self.call(|tables, _| Ok(tables.paused.iter().cloned().collect()))
    }

    fn journal(&self, fence: Fence, settle: Option<Settled>, intend: Option<Intended>) -> BoxFuture<'_, Result<()>> {
        self.call(move |tables, now| tables.journal(fence, settle, intend, now))
    }

    fn finish(&self, fence: Fence, finish: Finish) -> BoxFuture<'_, Result<()>> {
        self.call(move |tables, now| tables.finish(fence, finish, now))
    }

    fn cancel(&self, execution: ExecutionId, failure: Failure) -> BoxFuture<'_, Result<bool>> {
        self.call(move |tables, now| Ok(tables.cancel(execution, failure, now)))
    }

    fn checkpoint(&self, key: &CheckpointKey, messages: u32) -> BoxFuture<'_, Result<Checkpoint>> {
        let key = key.clone();
        self.call(move |tables, _| Ok(tables.checkpoint(&key, messages)))
    }

    fn memories(&self, agent: &AgentId, limit: u32) -> BoxFuture<'_, Result<Vec<Memory>>> {
        let agent = agent.clone();
        self.call(move |tables, _| Ok(tables.memories(&agent, limit)))
    }

    fn save_version(&self, agent: &AgentId, version: &str, spec: Value) -> BoxFuture<'_, Result<()>> {
        let key = (agent.clone(), version.to_owned());
        self.call(move |tables, now| {
            tables.save_version(key, spec.to_string(), now);
            Ok(())
        })
    }

    fn version(&self, agent: &AgentId, version: &str) -> BoxFuture<'_, Result<Option<Value>>> {
        let key = (agent.clone(), version.to_owned());
        self.call(move |tables, _| {
            // What was written from JSON reads as JSON.
            Ok(tables.versions.get(&key).and_then(|(_, spec)| serde_json::from_str(spec).ok()))
        })
    }

    fn versions(&self, agent: &AgentId) -> BoxFuture<'_, Result<Vec<Value>>> {
        let agent = agent.clone();
        self.call(move |tables, _| {
            let of_agent = tables.versions.iter().filter(|((of, _), _)| *of == agent);
            let mut kept: Vec<_> = of_agent.map(|((_, version), (given, spec))| (given, version, spec)).collect();
            kept.sort_unstable();
            Ok(kept.iter().rev().take(100).filter_map(|(_, _, spec)| serde_json::from_str(spec).ok()).collect())
        })
    }

    fn usage(&self, since: Timestamp) -> BoxFuture<'_, Result<Vec<(AgentId, Spent)>>> {
        self.call(move |tables, _| Ok(tables.usage(to_millis(since))))
    }

    fn reserve(&self, wanted: Reservation) -> BoxFuture<'_, Result<Reserved>> {
        self.call(move |tables, _| tables.reserve(wanted))
    }

    fn spent_by_node(&self, node: &NodeId, since: Timestamp) -> BoxFuture<'_, Result<MicroUsd>> {
        let node = node.clone();
        self.call(move |tables, _| Ok(tables.spent_by_node(&node, since)))
    }

    fn execution(&self, id: ExecutionId) -> BoxFuture<'_, Result<Option<Execution>>> {
        self.call(move |tables, _| Ok(tables.execution(id)))
    }

    fn executions(&self, filter: ExecutionFilter, page: PageRequest) -> BoxFuture<'_, Result<Page<Execution>>> {
        self.call(move |tables, _| tables.executions(&filter, &page))
    }

    fn steps(&self, id: ExecutionId) -> BoxFuture<'_, Result<Vec<Step>>> {
        self.call(move |tables, _| Ok(tables.steps(id)))
    }

    fn pending(&self, trace_id: TraceId) -> BoxFuture<'_, Result<Vec<PendingRow>>> {
        self.call(move |tables, _| Ok(tables.pending(trace_id)))
    }

    fn record_dead(&self, letter: NewDeadLetter) -> BoxFuture<'_, Result<i64>> {
        self.call(|tables, now| Ok(tables.record_dead(letter, now)))
    }

    fn dead_letters(&self, filter: DeadLetterFilter, page: PageRequest) -> BoxFuture<'_, Result<Page<DeadLetter>>> {
        self.call(move |tables, _| tables.dead_letters(&filter, &page))
    }

    fn dead_letter(&self, id: i64) -> BoxFuture<'_, Result<Option<DeadLetter>>> {
        self.call(move |tables, _| Ok(tables.dead_letter(id)))
    }

    fn replay(&self, id: i64) -> BoxFuture<'_, Result<Replayed>> {
        self.call(move |tables, now| tables.replay(id, now))
    }

    fn purge(&self, id: i64) -> BoxFuture<'_, Result<bool>> {
        self.call(move |tables, _| Ok(tables.letters.remove(&id).is_some()))
    }

    fn sweep(&self, before: Timestamp, limit: u32) -> BoxFuture<'_, Result<Swept>> {
        self.call(move |tables, now| Ok(tables.sweep(to_millis(before), limit, now)))
    }

    fn health(&self) -> BoxFuture<'_, Result<()>> {
        self.call(|_, _| Ok(()))
    }
}
