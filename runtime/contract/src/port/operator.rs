//! The operator port: what the doors (HTTP, Slack, command line) may ask of the machine.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use super::task::{NewTask, PlanRunShown, RetryFrom};
use crate::{
    BoxFuture,
    clarification::Clarification,
    event::{Event, Priority, ReplyTo},
    execution::{Execution, Failure},
    id::{AgentId, ClarificationId, ExecutionId, NodeId, PlanRunId, TraceId},
    port::state::{self, Firing},
    status::{AgentStatus, ExecutionStatus},
    topic::TopicPattern,
    tree::{Feed, Ping, Tree},
};

/// A refused request, as the answer that the door gives.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no such agent, execution or letter.
    #[error("{what} does not exist")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// It exists, but is in a state in which this cannot be done.
    #[error("{why}")]
    Conflict {
        /// Why, for a person.
        why: String,
    },
    /// Whoever asks for it may not have it done.
    #[error("{why}")]
    Forbidden {
        /// Why, for a person.
        why: String,
    },
    /// The request is understood and makes no sense.
    #[error("{why}")]
    Invalid {
        /// Why, for a person.
        why: String,
    },
    /// Store or bus cannot be reached; nothing was promised.
    #[error("{why}")]
    Unavailable {
        /// Why, for a person.
        why: String,
    },
    /// It was asked for, and another node did not say in time that it was done; it may yet be.
    #[error("{why}")]
    Unanswered {
        /// Why, for a person.
        why: String,
    },
}

impl From<state::Error> for Error {
    fn from(error: state::Error) -> Self {
        match error {
            state::Error::NotFound { what } => Self::NotFound { what },
            state::Error::Conflict { what } => Self::Conflict { why: what },
            state::Error::Fenced => Self::Conflict { why: error.to_string() },
            state::Error::Unavailable { .. } | state::Error::Corrupt { .. } => {
                Self::Unavailable { why: error.to_string() }
            }
        }
    }
}

/// How much of the tree is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// This node's branch.
    Node,
    /// Every node's.
    #[default]
    Cluster,
}

/// A node of the cluster, as far as it is known here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeView {
    /// Its name.
    pub node: NodeId,
    /// Its roles; empty if nothing was heard of it.
    pub roles: Vec<String>,
    /// Where its HTTP door listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addr: Option<String>,
    /// The program's version there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// Whether it was heard of lately.
    pub reachable: bool,
    /// When it was last heard; absent for the node that answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heard_at: Option<Timestamp>,
    /// Until when its lease in the store runs, or when it ran out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Timestamp>,
    /// Whether its lease runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_alive: Option<bool>,
    /// How many agents it runs.
    pub agents: u32,
    /// How many executions are at work there.
    pub running: u32,
}

impl NodeView {
    /// A node of which nothing is known.
    pub fn unknown() -> Self {
        Self {
            node: NodeId::new(""),
            roles: Vec::new(),
            addr: None,
            version: None,
            started_at: None,
            reachable: false,
            heard_at: None,
            lease_until: None,
            lease_alive: None,
            agents: 0,
            running: 0,
        }
    }
}

/// Work for one agent.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The agent.
    pub agent: AgentId,
    /// A text or an object.
    pub input: Value,
    /// How urgent.
    pub priority: Priority,
    /// Which conversation of a continuous agent.
    pub conversation: Option<String>,
    /// The door's trace id.
    pub trace_id: TraceId,
    /// The door, for example `http`.
    pub source: String,
    /// The caller's key: the same key again returns the first answer.
    pub idempotency_key: Option<String>,
    /// Where the answer is to go, besides the caller and the output topic.
    pub reply_to: Option<ReplyTo>,
}

/// An invocation that was taken in: durable from here on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Invoked {
    /// Its execution.
    pub execution_id: ExecutionId,
    /// Its workflow.
    pub trace_id: TraceId,
    /// How far it is.
    pub status: ExecutionStatus,
}

/// An agent as the registry shows it (R1.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentView {
    /// Its name.
    pub name: AgentId,
    /// Its `agent_type`.
    pub agent_type: String,
    /// Its mode's word.
    pub execution_mode: String,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How it is.
    pub status: AgentStatus,
    /// Why it is so, when that needs saying.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Failure>,
    /// The node that runs it.
    pub node: NodeId,
    /// Restarts since the agent was started.
    pub restarts: u32,
    /// The version (hash) of its definition.
    pub version: String,
    /// The definition's file.
    pub file: String,
    /// `provider/model`.
    pub model: String,
    /// Tools that it has now.
    pub tools: Vec<String>,
    /// Tool servers that are down, one line for each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<String>,
    /// What it listens to.
    pub subscriptions: Vec<TopicPattern>,
    /// When it wakes by itself, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Instances.
    pub instances: u32,
    /// Executions at work now.
    pub running: u32,
    /// Whether it was put to sleep because it had nothing to do; the next message wakes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passivated: bool,
    /// Whether its mailbox answers.
    #[serde(default)]
    pub ping: Ping,
}

/// An agent's schedule as the doors show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleView {
    /// The agent.
    pub agent: AgentId,
    /// The times, as written.
    pub schedule: String,
    /// In which zone they are read.
    pub timezone: String,
    /// What becomes of firings that no node was there for: `skip`, `once` or `all`.
    pub missed: String,
    /// What becomes of a firing while an earlier one is at work: `allow`, `skip` or `queue`.
    pub overlap: String,
    /// Whether an operator holds it.
    pub paused: bool,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_since: Option<Timestamp>,
    /// The next firings; none while it is held.
    pub next: Vec<Timestamp>,
    /// Firings that wait for their turn.
    pub waiting: u32,
    /// The newest firing, and what came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Firing>,
}

/// One schedule with its newest firings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleShown {
    /// The schedule.
    #[serde(flatten)]
    pub schedule: ScheduleView,
    /// Its firings, newest first.
    pub firings: Vec<Firing>,
}

/// How a part of the node is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ComponentHealth {
    /// The part, for example `store`, `bus`, `agents`.
    pub component: String,
    /// `ok`, `degraded` or `down`.
    pub status: HealthStatus,
    /// Why, when it is not ok.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A health word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// All is well.
    Ok,
    /// It works, with something missing.
    Degraded,
    /// It does not work.
    Down,
}

/// How the node is. Ready means: it takes work in now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Health {
    /// The worst of its components.
    pub status: HealthStatus,
    /// Whether it takes work in.
    pub ready: bool,
    /// The parts.
    pub components: Vec<ComponentHealth>,
}

/// The machine, as its doors see it.
pub trait Operator: Send + Sync + 'static {
    /// Gives an agent work. Durable when this returns. An agent that is paused or parked still takes it: it waits.
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<Invoked, Error>>;

    /// Publishes an event for whoever subscribed to its topic. Durable when this returns.
    fn publish(&self, event: Event) -> BoxFuture<'_, Result<(), Error>>;

    /// Waits until an execution has ended or waits for people, at most so long, and returns it as it is then, with its journal.
    fn wait(&self, execution: ExecutionId, at_most: Duration) -> BoxFuture<'_, Result<Execution, Error>>;

    /// Ends an execution as `cancelled`.
    fn cancel(&self, execution: ExecutionId) -> BoxFuture<'_, Result<(), Error>>;

    /// Answers a question for `by`, as the door knows them. The first answer counts: for another one it is
    /// [`Error::Conflict`], which says who was first.
    fn answer(
        &self,
        clarification: ClarificationId,
        answer: Value,
        by: String,
    ) -> BoxFuture<'_, Result<Clarification, Error>>;

    /// Gives a coordinator a task. Durable when this returns. A plan that has faults is [`Error::Invalid`].
    fn start_task(&self, task: NewTask) -> BoxFuture<'_, Result<Invoked, Error>>;

    /// A plan run. One whose coordinator has not taken it up yet is shown as `planning`.
    fn plan_run(&self, id: PlanRunId) -> BoxFuture<'_, Result<PlanRunShown, Error>>;

    /// Says for `by` whether the plan of a run may be carried out. With `digest`, only if it is that plan.
    fn approve_plan(
        &self,
        id: PlanRunId,
        digest: Option<String>,
        approve: bool,
        by: String,
    ) -> BoxFuture<'_, Result<(), Error>>;

    /// Begins a run that goes on from one that has ended, with the outputs of the steps that need not be done anew: those of the
    /// step where it begins and of all that use its output are. Without `from` it begins at whatever has no output.
    fn retry_plan(
        &self,
        id: PlanRunId,
        from: Option<RetryFrom>,
        trace_id: TraceId,
    ) -> BoxFuture<'_, Result<Invoked, Error>>;

    /// Every agent of the cluster, by name, once for each node that runs it.
    fn agents(&self) -> Vec<AgentView>;

    /// The supervision tree as this node knows it. Reads tables; disturbs no actor.
    fn tree(&self, scope: Scope) -> Tree;

    /// Grows with every change of what [`Operator::tree`] says, signs of life included.
    fn tree_writes(&self) -> u64;

    /// Changes of the other nodes' trees, as far as they are heard; `None` for a node that is alone.
    fn others(&self) -> Option<Feed> {
        None
    }

    /// Every node of the cluster, by name.
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeView>, Error>>;

    /// [`Operator::tree`] as JSON, for readers who want all of it and often. Whoever has a quicker way takes it.
    fn tree_json(&self, scope: Scope) -> Vec<u8> {
        // Every field serialises: maps have string keys and no value refuses.
        serde_json::to_vec(&self.tree(scope)).unwrap_or_default()
    }

    /// Starts an agent afresh: clears its restart budget; tries an unavailable one again.
    fn restart(&self, agent: &AgentId) -> BoxFuture<'_, Result<(), Error>>;

    /// Holds an agent back: running executions finish, messages wait.
    fn pause(&self, agent: &AgentId) -> BoxFuture<'_, Result<(), Error>>;

    /// Lets a paused agent go on.
    fn resume(&self, agent: &AgentId) -> BoxFuture<'_, Result<(), Error>>;

    /// The schedules of all agents, by agent.
    fn schedules(&self) -> BoxFuture<'_, Result<Vec<ScheduleView>, Error>>;

    /// An agent's schedule with its newest firings. An agent without one is [`Error::Conflict`].
    fn schedule(&self, agent: &AgentId) -> BoxFuture<'_, Result<ScheduleShown, Error>>;

    /// Fires a schedule now, also one that is held. Durable when this returns. The same key again returns the first answer.
    fn trigger_schedule(
        &self,
        agent: &AgentId,
        trace_id: TraceId,
        idempotency_key: Option<String>,
    ) -> BoxFuture<'_, Result<Invoked, Error>>;

    /// Holds a schedule on every node and over restarts, or lets it go on from now.
    fn pause_schedule(&self, agent: &AgentId, paused: bool) -> BoxFuture<'_, Result<(), Error>>;

    /// How the node is.
    fn health(&self) -> BoxFuture<'_, Health>;
}
