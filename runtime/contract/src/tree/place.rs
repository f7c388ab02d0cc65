//! What is known of one actor, and the tree that places make.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::moment;
use crate::{
    execution::Failure,
    id::{ExecutionId, NodeId, TraceId},
    status::AgentStatus,
};

/// How many failures a place remembers.
const FAILURES_KEPT: usize = 10;

/// The stable path of a place in the tree, for example `agents/customer-support/0`. It outlives restarts.
pub type Path = String;

/// A place in the tree: an actor over all its generations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The path, unique within its node. Its parent's is this one without the last part.
    pub id: Path,
    /// The path's last part.
    pub name: String,
    /// `node`, `supervisor`, `agent`, `instance`, `execution`, `service`, `tool_server`, `providers`, `provider`, `model`.
    pub kind: String,
    /// How it is.
    pub status: AgentStatus,
    /// Since when.
    #[serde(serialize_with = "moment::write")]
    pub since: Timestamp,
    /// When its present generation was started.
    #[serde(serialize_with = "moment::write")]
    pub started_at: Timestamp,
    /// How long its present generation has been up; worked out when the tree is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
    /// How many times it was started.
    pub generation: u32,
    /// Restarts since its first start, by its supervisor.
    pub restarts: u32,
    /// Restarts in its window, against its budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// How many times it had to be killed because it did not stop.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub kills: u32,
    /// How many of its former tasks did not end when they were killed: they are fenced and left behind.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub quarantined: u32,
    /// How many results of fenced tasks came too late and were thrown away.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub late_results: u32,
    /// Whether it was put to sleep because it had nothing to do; the next message wakes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passivated: bool,
    /// Whether its mailbox answers, for an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping: Option<Ping>,
    /// Until when it is held back, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// What waits for it.
    pub inbox: u64,
    /// How much it takes at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbox_capacity: Option<u64>,
    /// Since when the oldest of what waits has been waiting.
    #[serde(default, serialize_with = "moment::write_option", skip_serializing_if = "Option::is_none")]
    pub inbox_oldest_at: Option<Timestamp>,
    /// What it does now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work: Option<Work>,
    /// Its last failures, newest first.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub failures: VecDeque<PastFailure>,
    /// Its children, in the order of their paths.
    #[serde(default)]
    pub children: Vec<Place>,
}

impl Place {
    /// A place that has just been entered.
    pub fn new(path: &str, kind: &str, status: AgentStatus, now: Timestamp) -> Self {
        Self {
            id: path.to_owned(),
            name: path.rsplit('/').next().unwrap_or(path).to_owned(),
            kind: kind.to_owned(),
            status,
            since: now,
            started_at: now,
            uptime_ms: None,
            generation: 1,
            restarts: 0,
            budget: None,
            kills: 0,
            quarantined: 0,
            late_results: 0,
            passivated: false,
            ping: None,
            until: None,
            inbox: 0,
            inbox_capacity: None,
            inbox_oldest_at: None,
            work: None,
            failures: VecDeque::new(),
            children: Vec::new(),
        }
    }

    /// Its parent's path; the node itself has none.
    pub fn parent(&self) -> Option<&str> {
        match self.id.rsplit_once('/') {
            Some((parent, _)) => Some(parent),
            None => (!self.id.is_empty()).then_some(""),
        }
    }

    pub(super) fn set_status(&mut self, status: AgentStatus, now: Timestamp) {
        if self.status != status {
            self.status = status;
            self.since = now;
        }
    }

    pub(super) fn remember(&mut self, failure: Failure, trace_id: Option<TraceId>, now: Timestamp) {
        self.failures.push_front(PastFailure { at: now, failure, trace_id });
        self.failures.truncate(FAILURES_KEPT);
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The last round trip through a mailbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// When it was last asked whether it answers.
    #[serde(default, serialize_with = "moment::write_option", skip_serializing_if = "Option::is_none")]
    pub last_ping: Option<Timestamp>,
    /// When it last answered.
    #[serde(default, serialize_with = "moment::write_option", skip_serializing_if = "Option::is_none")]
    pub last_pong: Option<Timestamp>,
    /// How long the last answer took, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_us: Option<u64>,
}

/// How much of a restart budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Restarts within the window.
    pub in_window: u32,
    /// How many are allowed there.
    pub max_restarts: u32,
    /// The window, in milliseconds.
    pub window_ms: u64,
    /// When the next restart is due, while it waits for one.
    #[serde(default, serialize_with = "moment::write_option", skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
}

/// What a place does now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// The execution.
    pub execution_id: ExecutionId,
    /// The workflow.
    pub trace_id: TraceId,
    /// The call that is under way, for example `llm openai/gpt-6-sol`.
    pub step: String,
    /// Since when.
    #[serde(serialize_with = "moment::write")]
    pub since: Timestamp,
    /// When it will be given up unless it makes progress.
    #[serde(serialize_with = "moment::write")]
    pub deadline: Timestamp,
    /// When it last made progress.
    #[serde(serialize_with = "moment::write")]
    pub last_progress: Timestamp,
}

/// A failure that a place remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastFailure {
    /// When.
    #[serde(serialize_with = "moment::write")]
    pub at: Timestamp,
    /// Why.
    #[serde(flatten)]
    pub failure: Failure,
    /// In which workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<TraceId>,
}

/// The whole tree, as far as it is known.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tree {
    /// Whether every node answered.
    pub complete: bool,
    /// The nodes.
    pub nodes: Vec<NodeTree>,
}

/// One node's branch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeTree {
    /// The node.
    pub node: NodeId,
    /// Its roles.
    pub roles: Vec<String>,
    /// Whether it was heard of lately.
    pub reachable: bool,
    /// The number of the newest change that is in it: a reader of the changes goes on from here.
    #[serde(default)]
    pub version: u64,
    /// Its supervision tree.
    pub root: Place,
}
