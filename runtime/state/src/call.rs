//! Calls between agents, as both stores keep them.

use greenroom_contract::{
    AgentId, ExecutionId,
    call::CallResult,
    execution::Failure,
    port::state::{NewCall, Result},
    status::ExecutionStatus,
};

use crate::{
    codec::{self, Stored},
    refusal::{conflict, corrupt},
    row::NewRow,
};

/// The longest time for an answer: a year. Who waits for longer waits for a person.
const LONGEST_MS: u64 = 366 * 24 * 3600 * 1000;

/// A call, ready to be written.
pub(crate) struct Calling {
    pub(crate) callee: ExecutionId,
    pub(crate) seq: u32,
    pub(crate) agent: AgentId,
    pub(crate) within_ms: i64,
    /// The command to the agent that is called.
    pub(crate) row: NewRow,
}

impl Calling {
    pub(crate) fn prepare(call: NewCall) -> Result<Self> {
        let callee = call.execution();
        let NewCall { seq, agent, event, within } = call;
        if event.event_type != agent.input_topic() {
            return Err(conflict(format!("a call of {agent} goes to its queue, not to {}", event.event_type)));
        }
        let within = u64::try_from(within.as_millis()).unwrap_or(u64::MAX).min(LONGEST_MS);
        let row = NewRow::event(&event, Some(agent.clone()), true)?;
        Ok(Self { callee, seq, agent, within_ms: within as i64, row })
    }
}

/// The end of a call, ready to be written.
pub(crate) struct CallEnd {
    pub(crate) callee: ExecutionId,
    pub(crate) status: &'static str,
    pub(crate) step: &'static str,
    pub(crate) result: Stored,
}

impl CallEnd {
    pub(crate) fn prepare(result: &CallResult) -> Result<Self> {
        Ok(Self {
            callee: result.execution_id,
            status: result.call_status().as_str(),
            step: result.step_status().as_str(),
            result: codec::encode_json(result).map_err(corrupt("a call's result"))?,
        })
    }

    /// Of an execution that ends without an answer.
    pub(crate) fn without_answer(callee: ExecutionId, status: ExecutionStatus, failure: &Failure) -> Result<Self> {
        Self::prepare(&CallResult::failed(callee, status, failure.clone()))
    }
}
