//! The store itself: the port's methods, each a line that names where it is done.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use greenroom_contract::{
    AgentId, BoxFuture, EventId, ExecutionId, MicroUsd, NodeId, TraceId,
    execution::{Claimed, DeadLetter, Execution, Failure, Fence, Intended, Settled, Step},
    page::{Page, PageRequest},
    port::memory::Memory,
    port::state::{
        Accepted, Arrival, Checkpoint, CheckpointKey, Claim, DeadLetterFilter, ExecutionFilter, Finish, NewDeadLetter,
        NodeLease, OutboxId, OutboxOutcome, OutboxRow, PendingRow, Release, Replayed, Reservation, Reserved, Result,
        Spent, State, Submission, Submitted, Swept, Wanted,
    },
};
use jiff::Timestamp;
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tokio::sync::{mpsc, oneshot};

use super::{
    ask::{Single, Waiting, calling},
    budget, checkpoint, claim, dead,
    fault::{Fault, Job},
    finish, inbox, journal, lanes, memory, nodes,
    options::{Now, Options, Time},
    queries,
    readers::Readers,
    relay, schema,
    server::{Place, Server},
    submit, sweep, usage,
};

/// The store of a cluster, on PostgreSQL 15 or later. Cheap to clone.
///
/// Beyond what the port promises: writes about one execution, and about one outbox, take effect in the order in which
/// their futures were first polled, on whatever connection; between different ones only awaiting one before the next
/// orders them, and so it is between any of them and a reservation. It outlives the server: while that is away every call
/// fails as `Unavailable` within a few seconds, and when it is back the next one succeeds.
#[derive(Clone)]
pub struct PostgresState {
    lanes: Arc<[mpsc::Sender<Waiting>]>,
    /// The lane of leases: a heartbeat waits for no other write.
    leases: mpsc::Sender<Waiting>,
    /// The lane of housekeeping: nobody's write waits for it. It connects when it is first needed.
    chores: mpsc::Sender<Waiting>,
    /// The lane of reservations, which wait for those of other nodes. It connects when it is first needed.
    reservations: mpsc::Sender<Waiting>,
    readers: Readers,
    place: Place,
    time: Time,
    claims: Arc<AtomicI64>,
    /// How far the names of old executions have been kept.
    pub(super) named: Arc<sweep::Named>,
}

/// One lane, for one request.
pub(super) struct Lane<'a> {
    sender: &'a mpsc::Sender<Waiting>,
    place: &'a Place,
}

impl PostgresState {
    /// Connects to the server at `url` (`postgres://user:password@host:port/database`) and brings the tables up to date.
    ///
    /// Fails with `Unavailable` while the server cannot be reached, `Corrupt` when a later version has written the
    /// tables, and `Conflict` when `url` or `options` make no sense. No error tells the password.
    pub async fn connect(url: &str, options: Options) -> Result<Self> {
        let server = Server::new(url, &options)?;
        let place = server.place.clone();
        let migrated = async {
            let mut conn = server.connect().await?;
            schema::migrate(&mut conn, &options.schema).await?;
            drop(conn.close().await);
            Ok(())
        };
        migrated.await.map_err(|fault: Fault| fault.into_error(&place))?;
        let lane = || lanes::start(server.clone(), options.time.clone());
        Ok(Self {
            lanes: (0..options.writers.max(1)).map(|_| lane()).collect(),
            leases: lane(),
            chores: lane(),
            reservations: lane(),
            readers: Readers::new(server.clone(), options.time.clone(), options.readers),
            place,
            time: options.time,
            claims: Arc::new(AtomicI64::new(first_claim())),
            named: Arc::default(),
        })
    }

    /// The moment that statements are given, where it is not the database's own.
    pub(super) fn now(&self) -> Now {
        self.time.now()
    }

    /// A name for a claim that no other call has.
    pub(super) fn next_claim(&self) -> i64 {
        self.claims.fetch_add(1, Ordering::Relaxed)
    }

    /// The lane of a row.
    pub(super) fn lane(&self, key: u64) -> Lane<'_> {
        let place = usize::try_from(key % self.lanes.len() as u64).unwrap_or(0);
        Lane { sender: &self.lanes[place], place: &self.place }
    }

    /// Runs several statements as one transaction. The first of `keys` chooses the lane.
    pub(super) async fn transaction<T, F>(&self, keys: Vec<u64>, call: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut PgConnection, Now) -> BoxFuture<'c, Job<T>> + Send + Sync + 'static,
    {
        self.lane(keys.first().copied().unwrap_or(0)).single(keys, true, None, call).await
    }

    /// Runs one statement, which is a transaction by itself.
    pub(super) async fn statement<T, F>(&self, key: u64, call: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut PgConnection, Now) -> BoxFuture<'c, Job<T>> + Send + Sync + 'static,
    {
        self.lane(key).single(vec![key], false, None, call).await
    }

    /// Runs the statement of a claim.
    pub(super) async fn claiming<T, F>(&self, key: u64, claim: i64, call: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut PgConnection, Now) -> BoxFuture<'c, Job<T>> + Send + Sync + 'static,
    {
        self.lane(key).single(vec![key], false, Some(claim), call).await
    }

    /// Writes about a node's lease.
    pub(super) async fn lease<T, F>(&self, transaction: bool, call: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut PgConnection, Now) -> BoxFuture<'c, Job<T>> + Send + Sync + 'static,
    {
        let lane = Lane { sender: &self.leases, place: &self.place };
        lane.single(vec![0], transaction, None, call).await
    }

    /// Deletes what is old, in one transaction.
    pub(super) async fn chore<T, F>(&self, call: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut PgConnection, Now) -> BoxFuture<'c, Job<T>> + Send + Sync + 'static,
    {
        let lane = Lane { sender: &self.chores, place: &self.place };
        lane.single(vec![0], true, None, call).await
    }

    /// Sets money aside, in one transaction.
    pub(super) async fn reservation<T, F>(&self, call: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut PgConnection, Now) -> BoxFuture<'c, Job<T>> + Send + Sync + 'static,
    {
        let lane = Lane { sender: &self.reservations, place: &self.place };
        lane.single(vec![0], true, None, call).await
    }

    /// Asks a question on what is committed.
    pub(super) async fn read<T, F>(&self, call: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut PgConnection, Now) -> BoxFuture<'c, Job<T>> + Send + Sync + 'static,
    {
        self.readers.ask(Arc::new(call)).await
    }
}

impl Lane<'_> {
    /// Hands a request in and awaits its answer. Whoever is dropped meanwhile cancels nothing.
    pub(super) async fn ask<T>(&self, waiting: impl FnOnce(oneshot::Sender<Result<T>>) -> Waiting) -> Result<T> {
        let gone = || Fault::Unable("the task that writes has ended".to_owned()).into_error(self.place);
        let (reply, answer) = oneshot::channel();
        self.sender.send(waiting(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    async fn single<T, F>(&self, keys: Vec<u64>, transaction: bool, claim: Option<i64>, call: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> Fn(&'c mut PgConnection, Now) -> BoxFuture<'c, Job<T>> + Send + Sync + 'static,
    {
        let single = |reply| Single { call: Arc::new(call), transaction, claim, reply: Some(reply), done: None };
        self.ask(|reply| Waiting::Single { keys, single: Box::new(single(reply)) }).await
    }
}

/// Where this process begins to number its claims: at random, for others number theirs.
fn first_claim() -> i64 {
    let random = EventId::new();
    let bytes = random.as_bytes();
    bytes[8..].iter().fold(0, |number, byte| (number << 8) | i64::from(*byte))
}

impl std::fmt::Debug for PostgresState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresState").field("place", &self.place).finish_non_exhaustive()
    }
}

async fn health(store: &PostgresState) -> Result<()> {
    const PROBE: &str =
        "INSERT INTO probe (id, at) VALUES (1, now_ms($1)) ON CONFLICT (id) DO UPDATE SET at = excluded.at";
    let call = calling::<(), _>(move |conn, now| {
        Box::pin(async move {
            sqlx::query(PROBE).bind(now).execute(conn).await?;
            Ok(())
        })
    });
    store.lease(false, call).await
}

impl State for PostgresState {
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

    fn checkpoint_version(&self, key: &CheckpointKey) -> BoxFuture<'_, Result<u64>> {
        Box::pin(checkpoint::version_of(self, key.clone()))
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
