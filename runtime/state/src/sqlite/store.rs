//! The store itself: the port's methods, each a line that names where it is done.

use std::{sync::Arc, time::Duration};

use greenroom_contract::{
    AgentId, BoxFuture, Clock, ExecutionId, MicroUsd, NodeId, TraceId,
    clock::to_millis,
    execution::{Claimed, DeadLetter, Execution, Failure, Fence, Intended, Settled, Step},
    page::{Page, PageRequest},
    port::memory::Memory,
    port::state::{
        Accepted, Arrival, Checkpoint, CheckpointKey, Claim, DeadLetterFilter, ExecutionFilter, Finish, NewDeadLetter,
        NodeLease, OutboxId, OutboxOutcome, OutboxRow, PendingRow, Release, Replayed, Reservation, Reserved, Result,
        Spent, State, Submission, Submitted, Swept, Wanted,
    },
};
use greenroom_sqlite::Database;
use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::Value;

use super::{
    budget, checkpoint, claim, dead, finish, inbox,
    job::{Fault, Job, run},
    journal, memory, nodes, queries, relay, submit, sweep, usage,
};

/// The store of an embedded node. Cheap to clone. Its tables are [`MIGRATIONS`](super::MIGRATIONS).
#[derive(Clone)]
pub struct SqliteState {
    db: Database,
    clock: Arc<dyn Clock>,
}

impl SqliteState {
    /// The store on `db`, which was opened with [`MIGRATIONS`](super::MIGRATIONS). `clock` is the store's clock: every
    /// time that it writes and every lease that it judges is by it.
    pub fn new(db: Database, clock: Arc<dyn Clock>) -> Self {
        Self { db, clock }
    }

    pub(super) fn now(&self) -> i64 {
        to_millis(self.clock.now())
    }

    /// Runs `job` as one transaction.
    pub(super) async fn write<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Job<T> + Send + 'static,
    {
        self.db.write(job).await.map_err(|Fault(error)| error)
    }

    /// Runs `job` on what is committed.
    pub(super) async fn read<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Job<T> + Send + 'static,
    {
        self.db.read(job).await.map_err(|Fault(error)| error)
    }
}

impl std::fmt::Debug for SqliteState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteState").field("db", &self.db).finish_non_exhaustive()
    }
}

async fn health(store: &SqliteState) -> Result<()> {
    const PROBE: &str = "INSERT INTO probe (id, at) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET at = excluded.at";
    let now = store.now();
    store.write(move |conn| Ok(run(conn, PROBE, [now]).map(drop)?)).await
}

impl State for SqliteState {
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<Submitted>> {
        Box::pin(async move { Ok(submit::submit(self, submission, None).await?.0) })
    }

    fn submit_leased(
        &self,
        submission: Submission,
        node: &NodeId,
    ) -> BoxFuture<'_, Result<(Submitted, Option<OutboxId>)>> {
        Box::pin(submit::submit(self, submission, Some(node.clone())))
    }

    fn claim_outbox(&self, node: &NodeId, wanted: Wanted, lost: bool) -> BoxFuture<'_, Result<Vec<OutboxRow>>> {
        Box::pin(relay::claim(self, node.clone(), wanted, lost))
    }

    fn settle_outbox(&self, outcomes: Vec<(OutboxId, OutboxOutcome)>) -> BoxFuture<'_, Result<()>> {
        Box::pin(relay::settle(self, outcomes))
    }

    fn redrive_outbox(&self) -> BoxFuture<'_, Result<u64>> {
        Box::pin(relay::redrive(self))
    }

    fn accept(&self, arrival: Arrival) -> BoxFuture<'_, Result<Accepted>> {
        Box::pin(inbox::accept(self, arrival))
    }

    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Vec<Claimed>>> {
        Box::pin(claim::claim(self, claim))
    }

    fn backlog(&self, agent: &AgentId) -> BoxFuture<'_, Result<(u64, Option<Timestamp>)>> {
        Box::pin(inbox::backlog(self, agent.clone()))
    }

    fn release(&self, fence: Fence, why: Release) -> BoxFuture<'_, Result<()>> {
        Box::pin(claim::release(self, fence, why))
    }

    fn heartbeat(&self, node: &NodeId, ttl: Duration) -> BoxFuture<'_, Result<()>> {
        Box::pin(nodes::heartbeat(self, node.clone(), ttl))
    }

    fn take_back(&self, node: &NodeId) -> BoxFuture<'_, Result<u64>> {
        Box::pin(nodes::take_back(self, node.clone()))
    }

    fn leave(&self, node: &NodeId) -> BoxFuture<'_, Result<u64>> {
        Box::pin(nodes::leave(self, node.clone()))
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeLease>>> {
        Box::pin(nodes::list(self))
    }

    fn due_agents(&self, limit: u32) -> BoxFuture<'_, Result<Vec<AgentId>>> {
        Box::pin(nodes::due_agents(self, limit))
    }

    fn set_paused(&self, agent: &AgentId, paused: bool) -> BoxFuture<'_, Result<()>> {
        Box::pin(nodes::set_paused(self, agent.clone(), paused))
    }

    fn paused(&self) -> BoxFuture<'_, Result<Vec<AgentId>>> {
        Box::pin(nodes::paused(self))
    }

    fn journal(&self, fence: Fence, settle: Option<Settled>, intend: Option<Intended>) -> BoxFuture<'_, Result<()>> {
        Box::pin(journal::journal(self, fence, settle, intend))
    }

    fn finish(&self, fence: Fence, finish: Finish) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { finish::finish(self, fence, finish, None).await.map(drop) })
    }

    fn finish_leased(
        &self,
        fence: Fence,
        finish: Finish,
        node: &NodeId,
    ) -> BoxFuture<'_, Result<Vec<Option<OutboxId>>>> {
        Box::pin(finish::finish(self, fence, finish, Some(node.clone())))
    }

    fn cancel(&self, execution: ExecutionId, failure: Failure) -> BoxFuture<'_, Result<bool>> {
        Box::pin(finish::cancel(self, execution, failure))
    }

    fn checkpoint(&self, key: &CheckpointKey, messages: u32) -> BoxFuture<'_, Result<Checkpoint>> {
        Box::pin(checkpoint::read(self, key.clone(), messages))
    }

    fn memories(&self, agent: &AgentId, limit: u32) -> BoxFuture<'_, Result<Vec<Memory>>> {
        Box::pin(memory::read(self, agent.clone(), limit))
    }

    fn save_version(&self, agent: &AgentId, version: &str, spec: Value) -> BoxFuture<'_, Result<()>> {
        Box::pin(checkpoint::save_version(self, agent.clone(), version.to_owned(), spec))
    }

    fn version(&self, agent: &AgentId, version: &str) -> BoxFuture<'_, Result<Option<Value>>> {
        Box::pin(checkpoint::version(self, agent.clone(), version.to_owned()))
    }

    fn versions(&self, agent: &AgentId) -> BoxFuture<'_, Result<Vec<Value>>> {
        Box::pin(checkpoint::versions(self, agent.clone()))
    }

    fn usage(&self, since: Timestamp) -> BoxFuture<'_, Result<Vec<(AgentId, Spent)>>> {
        Box::pin(usage::usage(self, since))
    }

    fn reserve(&self, wanted: Reservation) -> BoxFuture<'_, Result<Reserved>> {
        Box::pin(budget::reserve(self, wanted))
    }

    fn spent_by_node(&self, node: &NodeId, since: Timestamp) -> BoxFuture<'_, Result<MicroUsd>> {
        Box::pin(budget::spent_by_node(self, node.clone(), since))
    }

    fn execution(&self, id: ExecutionId) -> BoxFuture<'_, Result<Option<Execution>>> {
        Box::pin(queries::execution(self, id))
    }

    fn executions(&self, filter: ExecutionFilter, page: PageRequest) -> BoxFuture<'_, Result<Page<Execution>>> {
        Box::pin(queries::executions(self, filter, page))
    }

    fn steps(&self, id: ExecutionId) -> BoxFuture<'_, Result<Vec<Step>>> {
        Box::pin(queries::steps(self, id))
    }

    fn pending(&self, trace_id: TraceId) -> BoxFuture<'_, Result<Vec<PendingRow>>> {
        Box::pin(relay::pending(self, trace_id))
    }

    fn record_dead(&self, letter: NewDeadLetter) -> BoxFuture<'_, Result<i64>> {
        Box::pin(dead::record(self, letter))
    }

    fn dead_letters(&self, filter: DeadLetterFilter, page: PageRequest) -> BoxFuture<'_, Result<Page<DeadLetter>>> {
        Box::pin(dead::list(self, filter, page))
    }

    fn dead_letter(&self, id: i64) -> BoxFuture<'_, Result<Option<DeadLetter>>> {
        Box::pin(dead::one(self, id))
    }

    fn replay(&self, id: i64) -> BoxFuture<'_, Result<Replayed>> {
        Box::pin(dead::replay(self, id))
    }

    fn purge(&self, id: i64) -> BoxFuture<'_, Result<bool>> {
        Box::pin(dead::purge(self, id))
    }

    fn sweep(&self, before: Timestamp, limit: u32) -> BoxFuture<'_, Result<Swept>> {
        Box::pin(sweep::sweep(self, before, limit))
    }

    fn health(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(health(self))
    }
}
