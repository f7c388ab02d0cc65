//! Tasks for coordinators, as the doors take them and show their runs.

use serde::{Deserialize, Serialize};

use crate::{
    clarification::Clarification,
    event::Priority,
    id::{AgentId, TraceId},
    plan::{Name, PlanRun, Task},
};

/// A task for a coordinator.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// The coordinator; without one it is the only one that there is.
    pub agent: Option<AgentId>,
    /// What is wanted.
    pub task: Task,
    /// How urgent.
    pub priority: Priority,
    /// The door's trace id.
    pub trace_id: TraceId,
    /// The door, for example `http`.
    pub source: String,
    /// The caller's key: the same key again returns the first answer.
    pub idempotency_key: Option<String>,
}

/// A plan run as the doors show it: with the questions on which it waits, its own and those of whom it waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanRunShown {
    /// The run.
    #[serde(flatten)]
    pub run: PlanRun,
    /// What people are asked.
    pub questions: Vec<Clarification>,
}

/// Where a run that goes on from another begins anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RetryFrom {
    /// At the step of this place, from 0.
    Step(usize),
    /// At the step that puts this out.
    Output(Name),
}
