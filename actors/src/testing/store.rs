//! A store in memory: executions, their claims and ends; nothing else is asked of it here.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use greenroom_contract::{
    AgentId, BoxFuture, ClarificationId, ExecutionId, MicroUsd, NodeId, TraceId,
    call::CallResult,
    clarification::{Card, Clarification},
    execution::{Claimed, DeadLetter, Execution, Failure, Fence, Intended, Settled, Step},
    page::{Page, PageRequest},
    port::memory::Memory,
    port::state::{
        Accepted, Arrival, Asked, Calls, Checkpoint, CheckpointKey, Claim, ClarificationFilter, Clarifications,
        Conclusion, DeadLetterFilter, Decided, Decision, Error, Escalated, ExecutionFilter, Finish, NewDeadLetter,
        NodeLease, OutboxId, OutboxOutcome, OutboxRow, PendingRow, Release, Replayed, Reservation, Reserved, Result,
        Spent, StaleCall, State, Submission, Submitted, Swept, Wait, Wanted,
    },
};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

/// How far an execution is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fate {
    Queued,
    Running,
    Waiting(Vec<Asked>),
    Succeeded(Value),
    Ended(Failure),
}

struct Row {
    claimed: Claimed,
    fate: Fate,
    due: Instant,
}

#[derive(Default)]
pub(crate) struct Store {
    rows: Mutex<HashMap<ExecutionId, Row>>,
    pub(crate) away: AtomicBool,
    intended: Mutex<Vec<u32>>,
    memories: Mutex<Vec<Memory>>,
    /// How often it was asked for them.
    pub(crate) recalled: AtomicU32,
    /// Has the next claim panic.
    pub(crate) faulty: AtomicBool,
    /// Something is due that another node has the turn for.
    pub(crate) elsewhere: AtomicBool,
    /// How often it was asked what is due.
    pub(crate) looks: AtomicU32,
}

impl Store {
    pub(crate) fn fates(&self) -> Vec<(Fate, u64, u32)> {
        let rows = self.rows();
        let mut all: Vec<_> = rows.values().map(|row| (row.claimed.event.event_id, row)).collect();
        all.sort_by_key(|(id, _)| *id);
        all.into_iter().map(|(_, row)| (row.fate.clone(), row.claimed.fence.epoch, row.claimed.crashes)).collect()
    }

    /// The steps that were intended, in order.
    pub(crate) fn intended(&self) -> Vec<u32> {
        self.intended.lock().expect("no test panics with it").clone()
    }

    /// Keeps something in every agent's mind.
    pub(crate) fn remember(&self, key: &str, text: &str) {
        let memory = Memory { key: key.to_owned(), text: text.to_owned(), at: Timestamp::UNIX_EPOCH };
        self.memories.lock().expect("no test panics with it").push(memory);
    }

    fn rows(&self) -> MutexGuard<'_, HashMap<ExecutionId, Row>> {
        self.rows.lock().expect("no test panics with it")
    }

    fn fenced<T>(&self, fence: Fence, change: impl FnOnce(&mut Row) -> T) -> Result<T> {
        if self.away.load(Ordering::Relaxed) {
            return Err(Error::Unavailable { reason: "the test took it away".into() });
        }
        match self.rows().get_mut(&fence.execution) {
            Some(row) if row.claimed.fence == fence && row.fate == Fate::Running => Ok(change(row)),
            _ => Err(Error::Fenced),
        }
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

pub(super) fn unasked<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T>> {
    ready(Err(Error::NotFound { what: "what no test asks for".into() }))
}

fn start(row: &mut Row) -> Claimed {
    row.fate = Fate::Running;
    row.claimed.fence.epoch += 1;
    row.claimed.clone()
}

impl State for Store {
    fn accept(&self, arrival: Arrival) -> BoxFuture<'_, Result<Accepted>> {
        let id = ExecutionId::of(&arrival.agent, arrival.event.event_id);
        let mut rows = self.rows();
        if rows.contains_key(&id) {
            return ready(Ok(Accepted::Duplicate(id)));
        }
        let Arrival { agent, version, event, claim } = arrival;
        let fence = Fence { execution: id, epoch: 0 };
        let claimed = Claimed { fence, agent, version, event, attempt: 1, crashes: 0, journal: Vec::new() };
        let row = rows.entry(id).or_insert(Row { claimed, fate: Fate::Queued, due: Instant::now() });
        ready(Ok(match claim {
            Some(_) => Accepted::Claimed(Box::new(start(row))),
            None => Accepted::Queued(id),
        }))
    }

    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Vec<Claimed>>> {
        assert!(!self.faulty.swap(false, Ordering::Relaxed), "the test wants a fault");
        if self.elsewhere.load(Ordering::Relaxed) {
            return ready(Ok(Vec::new()));
        }
        let mut rows = self.rows();
        let due =
            |row: &&mut Row| row.claimed.agent == claim.agent && row.fate == Fate::Queued && row.due <= Instant::now();
        let first = rows.values_mut().filter(due).min_by_key(|row| (row.due, row.claimed.event.event_id));
        ready(Ok(first.map(start).into_iter().collect()))
    }

    fn backlog(&self, agent: &AgentId) -> BoxFuture<'_, Result<(u64, Option<Timestamp>)>> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        if self.elsewhere.load(Ordering::Relaxed) {
            return ready(Ok((1, Some(super::bed::wall(Instant::now())))));
        }
        let rows = self.rows();
        let waiting = rows.values().filter(|row| row.claimed.agent == *agent && row.fate == Fate::Queued);
        let dues: Vec<Instant> = waiting.map(|row| row.due).collect();
        let first = dues.iter().min().map(|due| super::bed::wall(*due));
        ready(Ok((dues.len() as u64, first)))
    }

    fn release(&self, fence: Fence, why: Release) -> BoxFuture<'_, Result<()>> {
        ready(self.fenced(fence, |row| {
            row.fate = Fate::Queued;
            row.due = Instant::now();
            row.claimed.crashes += u32::from(why == Release::Crashed);
        }))
    }

    fn journal(&self, fence: Fence, _: Option<Settled>, step: Option<Intended>) -> BoxFuture<'_, Result<()>> {
        self.intended.lock().expect("no test panics with it").extend(step.map(|step| step.seq));
        ready(self.fenced(fence, |_| ()))
    }

    fn finish(&self, fence: Fence, finish: Finish) -> BoxFuture<'_, Result<()>> {
        ready(self.fenced(fence, |row| match finish.conclusion {
            Conclusion::Succeeded(answer) => row.fate = Fate::Succeeded(answer),
            Conclusion::Ended { failure, .. } => row.fate = Fate::Ended(failure),
            Conclusion::Retry { after, .. } => {
                row.fate = Fate::Queued;
                row.due = Instant::now() + after;
                row.claimed.attempt += 1;
            }
        }))
    }

    fn memories(&self, _: &AgentId, _: u32) -> BoxFuture<'_, Result<Vec<Memory>>> {
        self.recalled.fetch_add(1, Ordering::Relaxed);
        ready(Ok(self.memories.lock().expect("no test panics with it").clone()))
    }

    fn save_version(&self, _: &AgentId, _: &str, _: Value) -> BoxFuture<'_, Result<()>> {
        ready(Ok(()))
    }

    fn version(&self, _: &AgentId, _: &str) -> BoxFuture<'_, Result<Option<Value>>> {
        ready(Ok(None))
    }

    fn submit(&self, _: Submission) -> BoxFuture<'_, Result<Submitted>> {
        unasked()
    }

    fn claim_outbox(&self, _: &NodeId, _: Wanted, _: bool) -> BoxFuture<'_, Result<Vec<OutboxRow>>> {
        unasked()
    }

    fn settle_outbox(&self, _: Vec<(OutboxId, OutboxOutcome)>) -> BoxFuture<'_, Result<()>> {
        ready(Ok(()))
    }

    fn redrive_outbox(&self) -> BoxFuture<'_, Result<u64>> {
        unasked()
    }

    fn heartbeat(&self, _: &NodeId, _: Duration) -> BoxFuture<'_, Result<()>> {
        unasked()
    }

    fn take_back(&self, _: &NodeId) -> BoxFuture<'_, Result<u64>> {
        unasked()
    }

    fn leave(&self, _: &NodeId) -> BoxFuture<'_, Result<u64>> {
        unasked()
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeLease>>> {
        unasked()
    }

    fn due_agents(&self, _: u32) -> BoxFuture<'_, Result<Vec<AgentId>>> {
        unasked()
    }

    fn set_paused(&self, _: &AgentId, _: bool) -> BoxFuture<'_, Result<()>> {
        ready(Ok(()))
    }

    fn paused(&self) -> BoxFuture<'_, Result<Vec<AgentId>>> {
        ready(Ok(Vec::new()))
    }

    fn cancel(&self, _: ExecutionId, _: Failure) -> BoxFuture<'_, Result<bool>> {
        unasked()
    }

    fn checkpoint(&self, _: &CheckpointKey, _: u32) -> BoxFuture<'_, Result<Checkpoint>> {
        unasked()
    }

    fn versions(&self, _: &AgentId) -> BoxFuture<'_, Result<Vec<Value>>> {
        ready(Ok(Vec::new()))
    }

    fn usage(&self, _: Timestamp) -> BoxFuture<'_, Result<Vec<(AgentId, Spent)>>> {
        unasked()
    }

    fn reserve(&self, _: Reservation) -> BoxFuture<'_, Result<Reserved>> {
        unasked()
    }

    fn spent_by_node(&self, _: &NodeId, _: Timestamp) -> BoxFuture<'_, Result<MicroUsd>> {
        unasked()
    }

    fn execution(&self, _: ExecutionId) -> BoxFuture<'_, Result<Option<Execution>>> {
        unasked()
    }

    fn executions(&self, _: ExecutionFilter, _: PageRequest) -> BoxFuture<'_, Result<Page<Execution>>> {
        unasked()
    }

    fn steps(&self, _: ExecutionId) -> BoxFuture<'_, Result<Vec<Step>>> {
        unasked()
    }

    fn pending(&self, _: TraceId) -> BoxFuture<'_, Result<Vec<PendingRow>>> {
        unasked()
    }

    fn record_dead(&self, _: NewDeadLetter) -> BoxFuture<'_, Result<i64>> {
        unasked()
    }

    fn dead_letters(&self, _: DeadLetterFilter, _: PageRequest) -> BoxFuture<'_, Result<Page<DeadLetter>>> {
        unasked()
    }

    fn dead_letter(&self, _: i64) -> BoxFuture<'_, Result<Option<DeadLetter>>> {
        unasked()
    }

    fn replay(&self, _: i64) -> BoxFuture<'_, Result<Replayed>> {
        unasked()
    }

    fn purge(&self, _: i64) -> BoxFuture<'_, Result<bool>> {
        unasked()
    }

    fn sweep(&self, _: Timestamp, _: u32) -> BoxFuture<'_, Result<Swept>> {
        unasked()
    }

    fn health(&self) -> BoxFuture<'_, Result<()>> {
        ready(Ok(()))
    }
}

impl Calls for Store {
    fn stale_calls(&self, _: u32) -> BoxFuture<'_, Result<Vec<StaleCall>>> {
        unasked()
    }

    fn end_call(&self, _: CallResult) -> BoxFuture<'_, Result<bool>> {
        unasked()
    }
}

impl Clarifications for Store {
    fn wait(&self, fence: Fence, wait: Wait) -> BoxFuture<'_, Result<()>> {
        ready(self.fenced(fence, |row| row.fate = Fate::Waiting(wait.questions)))
    }

    fn decide(&self, _: ClarificationId, _: Decision) -> BoxFuture<'_, Result<Decided>> {
        unasked()
    }

    fn escalate(&self, _: ClarificationId, _: Escalated) -> BoxFuture<'_, Result<bool>> {
        unasked()
    }

    fn clarification(&self, _: ClarificationId) -> BoxFuture<'_, Result<Option<Clarification>>> {
        unasked()
    }

    fn clarifications(&self, _: ClarificationFilter, _: PageRequest) -> BoxFuture<'_, Result<Page<Clarification>>> {
        unasked()
    }

    fn note_card(&self, _: ClarificationId, _: Card) -> BoxFuture<'_, Result<Clarification>> {
        unasked()
    }

    fn overdue(&self, _: u32) -> BoxFuture<'_, Result<Vec<Clarification>>> {
        unasked()
    }
}
