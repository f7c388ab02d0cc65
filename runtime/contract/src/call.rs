//! Calls between agents: one asks another, and its execution waits for the answer.
//!
//! A call is an event to the other agent and a step in the caller's journal. While it is open the caller's execution holds
//! nothing, as with questions to people; the transaction that ends the other's execution settles the step with a
//! [`CallResult`], and the caller is due again, on whatever node.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    event::{Event, ReplyTo},
    execution::Failure,
    id::{AgentId, EventId, ExecutionId},
    money::MicroUsd,
    status::{CallStatus, ExecutionStatus, StepStatus},
};

/// How many agents may wait for each other in a row: a deeper call is refused. Far beyond what people lay out on purpose,
/// and few enough that a circle of agents that is closed by events, where it is not seen, costs little.
pub const DEEPEST: usize = 8;

/// What another agent is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentCall {
    /// Whom.
    pub agent: AgentId,
    /// What: a text, or an object.
    pub input: Value,
    /// Outputs of other executions that it may read, by the names under which it is told of them.
    pub outputs: BTreeMap<String, ExecutionId>,
    /// How long it has for an answer, from the moment at which it is asked. Later its execution is cancelled.
    pub within: Duration,
}

/// A call that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Called {
    /// The other agent's execution.
    pub execution: ExecutionId,
    /// How it ended; `None` while it is open.
    pub result: Option<CallResult>,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallResult {
    /// `succeeded`, or how the other's execution ended without success; `timed_out` also if no answer came in time.
    pub status: ExecutionStatus,
    /// What the other answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// What the other cost, as far as it is known, and who it asked in its turn.
    #[serde(default, rename = "cost_usd", skip_serializing_if = "Option::is_none")]
    pub cost: Option<MicroUsd>,
    /// The other agent's execution.
    pub execution_id: ExecutionId,
}

impl CallResult {
    /// An answer.
    pub fn answered(execution: ExecutionId, output: Value, cost: MicroUsd) -> Self {
        Self {
            status: ExecutionStatus::Succeeded,
            output: Some(output),
            error: None,
            cost: Some(cost),
            execution_id: execution,
        }
    }

    /// The end of a call without an answer.
    pub fn failed(execution: ExecutionId, status: ExecutionStatus, failure: Failure) -> Self {
        Self { status, output: None, error: Some(failure), cost: None, execution_id: execution }
    }

    /// The same, with what it cost.
    pub fn costing(self, cost: MicroUsd) -> Self {
        Self { cost: Some(cost), ..self }
    }

    /// How the call ends with it.
    pub fn call_status(&self) -> CallStatus {
        match self.status {
            ExecutionStatus::Succeeded => CallStatus::Answered,
            ExecutionStatus::Cancelled => CallStatus::Cancelled,
            _ => CallStatus::Failed,
        }
    }

    /// How the caller's step ends with it.
    pub fn step_status(&self) -> StepStatus {
        if self.status == ExecutionStatus::Succeeded { StepStatus::Settled } else { StepStatus::Failed }
    }
}

/// The id of the event by which an execution asks at a step: asked again after a crash, it is the same.
pub fn event_id(caller: ExecutionId, attempt: u32, seq: u32) -> EventId {
    EventId::derived(&["call", &caller.to_string(), &attempt.to_string(), &seq.to_string()])
}

/// Why `caller`, for whose answer `path` waits (the outermost first), must not ask `agent`.
pub fn refuse(path: &[AgentId], caller: &AgentId, agent: &AgentId) -> Option<Failure> {
    if agent == caller || path.contains(agent) {
        let chain = path.iter().chain([caller, agent]).map(AgentId::as_str).collect::<Vec<_>>().join(" → ");
        return Some(Failure::new("call_cycle", format!("{agent} waits for this answer itself ({chain})")));
    }
    let deep = path.len() + 1;
    (deep >= DEEPEST)
        .then(|| Failure::new("call_too_deep", format!("{deep} agents wait for each other already, as many as may")))
}

/// What an event says by which an agent is called.
pub fn payload(call: &AgentCall) -> Value {
    let mut payload = json!({ "input": call.input });
    if !call.outputs.is_empty() {
        payload[OUTPUTS] = json!(call.outputs);
    }
    payload
}

/// The outputs that whoever handles an event may read: only a call gives any.
pub fn outputs(event: &Event) -> BTreeMap<String, ExecutionId> {
    match (&event.reply_to, event.payload.get(OUTPUTS)) {
        (Some(ReplyTo::Caller { .. }), Some(outputs)) => serde_json::from_value(outputs.clone()).unwrap_or_default(),
        _ => BTreeMap::new(),
    }
}

const OUTPUTS: &str = "outputs";

#[cfg(test)]
mod tests {
    use super::*;

    fn agents(names: &[&str]) -> Vec<AgentId> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn nobody_is_asked_who_waits_for_the_answer() {
        let path = agents(&["a", "b"]);
        let refused = |agent: &str| refuse(&path, &"c".parse().unwrap(), &agent.parse().unwrap());
        assert_eq!(refused("d"), None);
        for agent in ["a", "b", "c"] {
            let failure = refused(agent).unwrap();
            assert_eq!(failure.code, "call_cycle");
            assert!(failure.message.contains(&format!("a → b → c → {agent}")), "{failure}");
        }
    }

    #[test]
    fn only_so_many_wait_for_each_other() {
        let path = agents(&["a", "b", "c", "d", "e", "f", "g"]);
        let refused = |deep: usize| refuse(&path[..deep], &"y".parse().unwrap(), &"z".parse().unwrap());
        assert_eq!(refused(DEEPEST - 2), None);
        assert_eq!(refused(DEEPEST - 1).unwrap().code, "call_too_deep");
    }
}
