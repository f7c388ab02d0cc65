//! What every behaviour stands on: a fresh store, a clock that the test moves, and short words for the usual acts.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use greenroom_contract::{
    AgentId, Clock, Event, ExecutionId, MicroUsd, NodeId, TraceId,
    clock::from_millis,
    execution::{Claimed, Effect, Execution, Failure, Intended, Settled, StepKind},
    port::{
        llm::Usage,
        state::{
            Accepted, Arrival, Claim, Conclusion, Finish, OutboxOutcome, OutboxRow, Outgoing, Spent, State, Submission,
            Submitted, Wanted,
        },
    },
    status::{ExecutionStatus, StepStatus},
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock {
    millis: AtomicI64,
}

impl Default for ManualClock {
    /// The 22nd of November 2026, noon UTC: the beginning of a quarter of an hour.
    fn default() -> Self {
        Self { millis: AtomicI64::new(1_795_348_800_000) }
    }
}

impl ManualClock {
    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.millis.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        from_millis(self.millis.load(Ordering::SeqCst))
    }
}

/// A fresh, empty store by a clock that the test moves.
pub struct Stage {
    /// The store.
    pub state: Arc<dyn State>,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    _keep: Box<dyn Any + Send>,
}

impl Stage {
    /// A store whose clock is `clock`. `keep` lives as long as the stage: a temporary folder, a database's name.
    pub fn new(state: Arc<dyn State>, clock: Arc<ManualClock>, keep: impl Any + Send) -> Self {
        Self { state, clock, _keep: Box::new(keep) }
    }

    /// What the store's clock says.
    pub(super) fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Gives an agent work by a door.
    pub(super) async fn submit(&self, agent: &AgentId, payload: Value) -> Submitted {
        self.state.submit(command(agent, payload)).await.unwrap()
    }

    /// Takes an event into an agent's inbox, queued.
    pub(super) async fn arrive(&self, agent: &AgentId, event: Event) -> ExecutionId {
        let arrival = Arrival { agent: agent.clone(), version: "v1".to_owned(), event, claim: None };
        match self.state.accept(arrival).await.unwrap() {
            Accepted::Queued(id) => id,
            other => panic!("expected a queued execution, got {other:?}"),
        }
    }

    /// Takes a new event into an agent's inbox and claims it at once.
    pub(super) async fn running(&self, agent: &AgentId, node: &NodeId) -> Claimed {
        let (event, claim) = (event_for(agent, json!("work")), Some(node.clone()));
        let arrival = Arrival { agent: agent.clone(), version: "v1".to_owned(), event, claim };
        match self.state.accept(arrival).await.unwrap() {
            Accepted::Claimed(claimed) => *claimed,
            other => panic!("expected a claimed execution, got {other:?}"),
        }
    }

    /// Claims what is due, in any order of arrival.
    pub(super) async fn claim(&self, agent: &AgentId, node: &NodeId, limit: u32) -> Vec<Claimed> {
        self.state
            .claim(Claim { node: node.clone(), agent: agent.clone(), limit, ordered: false, lost: true, here: true })
            .await
            .unwrap()
    }

    /// Claims in strict order of arrival.
    pub(super) async fn claim_in_order(&self, agent: &AgentId, node: &NodeId) -> Option<Claimed> {
        let claim = Claim { node: node.clone(), agent: agent.clone(), limit: 1, ordered: true, lost: true, here: true };
        self.state.claim(claim).await.unwrap().pop()
    }

    /// Claims the one execution that is due.
    pub(super) async fn claim_one(&self, agent: &AgentId, node: &NodeId) -> Claimed {
        let mut claimed = self.claim(agent, node, 10).await;
        assert_eq!(claimed.len(), 1, "one execution should be due");
        claimed.remove(0)
    }

    /// Makes a call and its outcome durable.
    pub(super) async fn step(&self, on: &Claimed, seq: u32, cost: Option<MicroUsd>) {
        self.state.journal(on.fence, None, Some(call(on, seq))).await.unwrap();
        self.state.journal(on.fence, Some(outcome(on, seq, cost)), None).await.unwrap();
    }

    /// Ends an attempt.
    pub(super) async fn finish(&self, on: &Claimed, conclusion: Conclusion) {
        self.state.finish(on.fence, end(conclusion)).await.unwrap();
    }

    /// One execution as the API shows it.
    pub(super) async fn shown(&self, id: ExecutionId) -> Execution {
        self.state.execution(id).await.unwrap().unwrap_or_else(|| panic!("execution {id} is not shown"))
    }

    /// What an agent spent.
    pub(super) async fn spent(&self, agent: &AgentId, since: Timestamp) -> Spent {
        let all = self.state.usage(since).await.unwrap();
        all.into_iter().find(|(name, _)| name == agent).map(|(_, spent)| spent).unwrap_or_default()
    }

    /// What is due in the outbox, of either kind.
    pub(super) async fn due(&self) -> Vec<OutboxRow> {
        let claims = async |wanted| self.state.claim_outbox(&node("relay"), wanted, true).await.unwrap();
        let mut due = claims(Wanted::Events(100)).await;
        due.extend(claims(Wanted::Replies(100)).await);
        due.sort_by_key(|row| row.id);
        due
    }

    /// Says what became of outbox rows, the same for each.
    pub(super) async fn settle(&self, rows: &[OutboxRow], outcome: OutboxOutcome) {
        let outcomes = rows.iter().map(|row| (row.id, outcome.clone())).collect();
        self.state.settle_outbox(outcomes).await.unwrap();
    }

    /// Whether a workflow has anything in the outbox.
    pub(super) async fn has_pending(&self, trace_id: TraceId) -> bool {
        !self.state.pending(trace_id).await.unwrap().is_empty()
    }
}

pub(super) fn agent(name: &str) -> AgentId {
    name.parse().unwrap()
}

pub(super) fn node(name: &str) -> NodeId {
    NodeId::new(name)
}

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn failure() -> Failure {
    Failure::new("tool_failed", "the tool failed")
}

/// An event for one agent.
pub(super) fn event_for(agent: &AgentId, payload: Value) -> Event {
    Event::new(agent.input_topic(), "test", TraceId::new(), payload)
}

/// An event for whoever subscribed.
pub(super) fn fact(topic: &str) -> Event {
    Event::new(topic, "test", TraceId::new(), json!({ "fact": true }))
}

/// A submission for one agent.
pub(super) fn command(agent: &AgentId, payload: Value) -> Submission {
    Submission { event: event_for(agent, payload), agent: Some(agent.clone()) }
}

/// A model call about to be made.
pub(super) fn call(on: &Claimed, seq: u32) -> Intended {
    Intended {
        attempt: on.attempt,
        seq,
        kind: StepKind::Llm,
        name: "model".to_owned(),
        request_hash: format!("hash-{seq}"),
        idempotency_key: format!("{}-{}-{seq}", on.fence.execution, on.attempt),
        effect: Effect::None,
    }
}

/// Its outcome.
pub(super) fn outcome(on: &Claimed, seq: u32, cost: Option<MicroUsd>) -> Settled {
    Settled {
        attempt: on.attempt,
        seq,
        status: StepStatus::Settled,
        result: json!({ "answer": seq }),
        usage: Some(Usage { input: 10, output: 5, ..Usage::default() }),
        cost,
        duration_ms: 7,
    }
}

/// An end that leaves nothing else behind.
pub(super) fn end(conclusion: Conclusion) -> Finish {
    Finish::of(conclusion)
}

pub(super) fn succeeded() -> Conclusion {
    Conclusion::Succeeded(json!("done"))
}

pub(super) fn retry(after: Duration) -> Conclusion {
    Conclusion::Retry { failure: failure(), after }
}

pub(super) fn ended(status: ExecutionStatus) -> Conclusion {
    Conclusion::Ended { status, failure: failure() }
}

/// The event of an outbox row.
pub(super) fn event_of(row: &OutboxRow) -> &Event {
    match &row.outgoing {
        Outgoing::Event { event, .. } => event,
        other => panic!("expected an event, got {other:?}"),
    }
}
