//! What an execution may use, and how an agent is looked after.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::llm::Fallback;
use crate::HumanDuration;

/// What an execution may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How long one attempt may take.
    #[garde(skip)]
    pub timeout: HumanDuration,
    /// How many steps (model and tool calls) one attempt may make.
    #[garde(range(min = 1, max = 1000))]
    pub max_steps: u32,
    /// How many identical tool calls with the same answer one attempt may make; the model is told of further ones, and
    /// the attempt fails when it does not stop. 0 is any number.
    #[garde(range(max = 1000))]
    pub max_repeats: u32,
    /// How many attempts an event gets before it becomes a dead letter.
    #[garde(range(min = 1, max = 20))]
    pub max_attempts: u32,
    /// How long it waits between attempts: doubled each time, within these bounds.
    #[garde(dive)]
    pub retry: RetryBackoff,
    /// How long a model may stay silent before the call is given up.
    #[garde(skip)]
    pub silence: HumanDuration,
    /// How long one tool call may go without a sign of life.
    #[garde(skip)]
    pub tool_timeout: HumanDuration,
    /// How many of a conversation's newest messages a continuous agent sends to the model.
    #[garde(range(min = 1, max = 10000))]
    pub history: u32,
    /// How much money it may spend, in US dollars.
    #[garde(dive)]
    pub budget_usd: BudgetUsd,
    /// What becomes of an execution when a call broke off that must not be made twice, so that nobody knows whether it
    /// happened.
    #[serde(skip_serializing_if = "is_ask")]
    #[garde(skip)]
    pub on_unknown: OnUnknown,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: HumanDuration::from_secs(300),
            max_steps: 20,
            max_repeats: 3,
            max_attempts: 3,
            retry: RetryBackoff { min: HumanDuration::from_secs(1), max: HumanDuration::from_secs(60) },
            silence: HumanDuration::from_secs(60),
            tool_timeout: HumanDuration::from_secs(60),
            history: 50,
            budget_usd: BudgetUsd::default(),
            on_unknown: OnUnknown::default(),
        }
    }
}

/// What becomes of an execution of which a call broke off that must not be made twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// It waits until a person has said what became of the call.
    #[default]
    Ask,
    /// It fails, and becomes a dead letter.
    Fail,
}

/// What becomes of an execution whose money does not reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenSpent {
    /// It fails as `budget_exhausted`.
    #[default]
    Stop,
    /// It waits until a person has said whether it may spend as much once more.
    Ask,
}

/// Bounds of an exponential wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct RetryBackoff {
    /// The first wait.
    #[garde(skip)]
    pub min: HumanDuration,
    /// The longest.
    #[garde(skip)]
    pub max: HumanDuration,
}

/// How much money an agent may spend. What is absent is not limited. The most that a call can cost is set aside before it
/// is made, so that no number of executions at once overspends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct BudgetUsd {
    /// In one execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0)))]
    pub per_execution: Option<f64>,
    /// In one UTC day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0)))]
    pub per_day: Option<f64>,
    /// The model that is asked when the money does not reach for the agent's own; without one, or when it does not
    /// reach for this one either, `when_spent` says what follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub degrade_to: Option<Fallback>,
    /// What follows when the money does not reach: `stop`, or `ask` a person whether the execution may spend as much once
    /// more. The node's own limit is no person's to lift: there it always stops.
    #[serde(default, skip_serializing_if = "is_stop")]
    #[garde(skip)]
    pub when_spent: WhenSpent,
}

fn is_ask(then: &OnUnknown) -> bool {
    *then == OnUnknown::Ask
}

fn is_stop(when: &WhenSpent) -> bool {
    *when == WhenSpent::Stop
}

/// How an agent is looked after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct Supervision {
    /// After so many failed executions in a row the instance is restarted; a success begins the count anew.
    #[garde(range(min = 1, max = 100))]
    pub failures_before_restart: u32,
    /// So many restarts within `window` are made; the next failure parks the agent as `failed`.
    #[garde(range(max = 100))]
    pub max_restarts: u32,
    /// The sliding window of `max_restarts`.
    #[garde(skip)]
    pub window: HumanDuration,
    /// The wait before a restart: doubled each time, within these bounds, with 20 % jitter.
    #[garde(dive)]
    pub backoff: RetryBackoff,
    /// So long after a completed start without another failure the backoff begins anew.
    #[garde(skip)]
    pub stable_after: HumanDuration,
    /// How often the agent is asked whether it answers; at most 60s.
    #[garde(skip)]
    pub ping_every: HumanDuration,
    /// How long it gets to stop.
    #[garde(skip)]
    pub shutdown: HumanDuration,
}

impl Default for Supervision {
    fn default() -> Self {
        Self {
            failures_before_restart: 3,
            max_restarts: 3,
            window: HumanDuration::from_secs(600),
            backoff: RetryBackoff { min: HumanDuration::from_secs(1), max: HumanDuration::from_secs(60) },
            stable_after: HumanDuration::from_secs(300),
            ping_every: HumanDuration::from_secs(30),
            shutdown: HumanDuration::from_secs(20),
        }
    }
}
