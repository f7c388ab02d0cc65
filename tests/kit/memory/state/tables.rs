//! The rows.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use greenroom_contract::{
    AgentId, Event, EventId, ExecutionId, NodeId, ReplyTo, TraceId,
    clarification::Clarification,
    execution::{Failure, Fence, Step},
    plan::PlanRun,
    port::{
        llm::Message,
        state::{CheckpointKey, Error, Outgoing, Reservation, Result, Spent},
    },
    status::{CallStatus, ExecutionStatus},
};
use serde_json::Value;

use super::schedules::{Fired, Schedule};

/// Everything. Times are milliseconds since the Unix epoch.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) nodes: BTreeMap<NodeId, i64>,
    /// In the order of arrival: a row's place is its number.
    pub(super) rows: Vec<Row>,
    pub(super) by_id: HashMap<ExecutionId, usize>,
    pub(super) by_event: HashMap<EventId, Vec<usize>>,
    pub(super) unfinished: BTreeMap<AgentId, BTreeSet<usize>>,
    pub(super) outbox: BTreeMap<i64, Out>,
    pub(super) due: BTreeSet<i64>,
    pub(super) out_by_event: HashMap<EventId, Vec<i64>>,
    pub(super) promised: HashMap<ExecutionId, i64>,
    pub(super) next_out: i64,
    pub(super) conversations: HashMap<CheckpointKey, Conversation>,
    /// When each was given last, and as text, which takes a fifth of the room: there may be ten thousand.
    pub(super) versions: BTreeMap<(AgentId, String), (i64, String)>,
    pub(super) usage: BTreeMap<(AgentId, i64), Spent>,
    pub(super) reservations: HashMap<ExecutionId, Reservation>,
    pub(super) paused: BTreeSet<AgentId>,
    pub(super) memories: BTreeMap<(AgentId, String), (i64, String)>,
    /// In the order in which they were asked.
    pub(super) questions: Vec<Clarification>,
    /// By the execution that is to answer.
    pub(super) calls: BTreeMap<ExecutionId, Call>,
    /// In the order in which they were first written, with when it was told that they are stuck.
    pub(super) plan_runs: Vec<(PlanRun, Option<i64>)>,
    pub(super) schedules: BTreeMap<AgentId, Schedule>,
    /// By agent and time.
    pub(super) firings: BTreeMap<(AgentId, i64), Fired>,
    pub(super) letters: BTreeMap<i64, Letter>,
    pub(super) next_letter: i64,
    /// When executions were deleted.
    pub(super) swept: HashMap<ExecutionId, i64>,
    /// The keys of calls whose outcome is written: they must never be made again.
    pub(super) settled: HashSet<String>,
}

/// An execution.
pub(super) struct Row {
    pub(super) id: ExecutionId,
    pub(super) agent: AgentId,
    pub(super) version: String,
    pub(super) event: Event,
    pub(super) status: ExecutionStatus,
    pub(super) attempt: u32,
    pub(super) epoch: u64,
    pub(super) crashes: u32,
    pub(super) node: Option<NodeId>,
    pub(super) available_at: i64,
    pub(super) created_at: i64,
    pub(super) started_at: Option<i64>,
    pub(super) finished_at: Option<i64>,
    pub(super) error: Option<Failure>,
    pub(super) output: Option<Value>,
    pub(super) steps: Vec<Step>,
    /// It was deleted: it is shown to nobody.
    pub(super) swept: bool,
}

/// A call of another agent.
pub(super) struct Call {
    pub(super) caller: ExecutionId,
    pub(super) attempt: u32,
    pub(super) seq: u32,
    pub(super) agent: AgentId,
    pub(super) status: CallStatus,
    pub(super) deadline_at: i64,
}

/// An outbox row.
pub(super) struct Out {
    pub(super) outgoing: Outgoing,
    pub(super) agent: Option<AgentId>,
    pub(super) published: bool,
    pub(super) attempts: u32,
    pub(super) available_at: i64,
    pub(super) created_at: i64,
    pub(super) lease: Option<(NodeId, i64)>,
    pub(super) last_error: Option<String>,
}

impl Out {
    pub(super) fn event(&self) -> Option<(&Event, bool)> {
        match &self.outgoing {
            Outgoing::Event { event, mandatory } => Some((event, *mandatory)),
            Outgoing::Reply { .. } => None,
        }
    }

    pub(super) fn trace_id(&self) -> TraceId {
        match &self.outgoing {
            Outgoing::Event { event, .. } => event.trace_id,
            Outgoing::Reply { trace_id, .. } => *trace_id,
        }
    }

    /// Replies with the same address go out one after the other.
    pub(super) fn address(&self) -> Option<String> {
        match &self.outgoing {
            Outgoing::Reply { to: ReplyTo::Slack(slack), .. } => Some(match &slack.channel_id {
                Some(channel) => format!("channel {} {channel}", slack.team_id.as_deref().unwrap_or_default()),
                None => format!("url {}", slack.response_url.as_deref().unwrap_or_default()),
            }),
            Outgoing::Reply { to: ReplyTo::Topic { topic }, .. } => Some(format!("topic {topic}")),
            Outgoing::Reply { to: ReplyTo::Caller { .. }, .. } => Some("caller".to_owned()),
            Outgoing::Event { .. } => None,
        }
    }
}

/// An agent's state in one conversation.
#[derive(Default)]
pub(super) struct Conversation {
    pub(super) version: u64,
    /// When it began, among all of them.
    pub(super) number: i64,
    pub(super) updated_at: i64,
    pub(super) data: Value,
    pub(super) messages: Vec<Message>,
}

/// A dead letter.
pub(super) struct Letter {
    pub(super) agent: Option<AgentId>,
    pub(super) queue: String,
    pub(super) execution: Option<ExecutionId>,
    pub(super) trace_id: Option<TraceId>,
    pub(super) reason: Failure,
    pub(super) attempts: u32,
    pub(super) node: Option<NodeId>,
    pub(super) first_at: i64,
    pub(super) dead_at: i64,
    pub(super) replayed: Option<(i64, String)>,
    pub(super) from_bus: bool,
    pub(super) body: Vec<u8>,
}

impl Tables {
    /// Adds an execution. The caller has made sure that it is new.
    pub(super) fn add(&mut self, row: Row) {
        let number = self.rows.len();
        self.by_id.insert(row.id, number);
        self.by_event.entry(row.event.event_id).or_default().push(number);
        if row.finished_at.is_none() {
            self.unfinished.entry(row.agent.clone()).or_default().insert(number);
        }
        self.rows.push(row);
    }

    pub(super) fn row(&self, id: ExecutionId) -> Option<&Row> {
        self.by_id.get(&id).map(|number| &self.rows[*number])
    }

    /// Lets the holder of the newest claim pass, and nobody else.
    pub(super) fn hold(&self, fence: Fence) -> Result<usize> {
        let held = self.by_id.get(&fence.execution).copied().filter(|number| {
            let row = &self.rows[*number];
            row.epoch == fence.epoch && row.status == ExecutionStatus::Running
        });
        held.ok_or(Error::Fenced)
    }

    /// Ends an execution.
    pub(super) fn end(&mut self, number: usize, status: ExecutionStatus, error: Option<Failure>, now: i64) {
        let row = &mut self.rows[number];
        row.status = status;
        row.error = error;
        row.finished_at = Some(now);
        if let Some(unfinished) = self.unfinished.get_mut(&row.agent) {
            unfinished.remove(&number);
        }
    }

    /// Whether a node's lease has run out. One that never had a lease is dead, too.
    pub(super) fn is_dead(&self, node: &NodeId, now: i64) -> bool {
        self.nodes.get(node).is_none_or(|until| *until < now)
    }
}

pub(super) fn conflict(what: impl Into<String>) -> Error {
    Error::Conflict { what: what.into() }
}
