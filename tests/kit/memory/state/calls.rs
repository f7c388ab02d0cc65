//! Calls between agents.

use greenroom_contract::{
    BoxFuture,
    call::CallResult,
    clock::to_millis,
    port::state::{Calls, NewCall, Outgoing, Result, StaleCall},
    status::{CallStatus, ExecutionStatus},
};

use super::{
    store::MemoryState,
    tables::{Call, Tables},
};

impl Calls for MemoryState {
    fn stale_calls(&self, limit: u32) -> BoxFuture<'_, Result<Vec<StaleCall>>> {
        self.call(move |tables, now| Ok(tables.stale_calls(limit as usize, now)))
    }

    fn end_call(&self, result: CallResult) -> BoxFuture<'_, Result<bool>> {
        self.call(move |tables, now| Ok(tables.end_call(result, now)))
    }
}

impl Tables {
    /// Says whether one of them has ended meanwhile.
    pub(super) fn open_calls(&mut self, number: usize, calls: Vec<NewCall>, now: i64) -> bool {
        let (caller, attempt) = (self.rows[number].id, self.rows[number].attempt);
        let mut has_ended = false;
        for call in calls {
            let execution = call.execution();
            if let Some(known) = self.calls.get(&execution) {
                has_ended |= known.status != CallStatus::Open;
                continue;
            }
            let deadline_at = now.saturating_add(i64::try_from(call.within.as_millis()).unwrap_or(i64::MAX));
            let (agent, seq, status) = (call.agent, call.seq, CallStatus::Open);
            self.calls.insert(execution, Call { caller, attempt, seq, agent: agent.clone(), status, deadline_at });
            self.send(Outgoing::Event { event: call.event, mandatory: true }, Some(agent), now);
        }
        has_ended
    }

    pub(super) fn end_call(&mut self, result: CallResult, now: i64) -> bool {
        let Some(call) = self.calls.get_mut(&result.execution_id) else { return false };
        if call.status != CallStatus::Open {
            return false;
        }
        call.status = result.call_status();
        let (caller, place) = (call.caller, (call.attempt, call.seq));
        let row = &mut self.rows[self.by_id[&caller]];
        if let Some(step) = row.steps.iter_mut().find(|step| (step.attempt, step.seq) == place) {
            self.settled.insert(step.idempotency_key.clone());
            step.status = result.step_status();
            step.result = serde_json::to_value(&result).ok();
            step.duration_ms = Some(u64::try_from(now - to_millis(step.intended_at)).unwrap_or(0));
        }
        if row.status == ExecutionStatus::Waiting && row.attempt == place.0 {
            row.status = ExecutionStatus::Queued;
            row.available_at = now;
        }
        true
    }

    fn stale_calls(&self, limit: usize, now: i64) -> Vec<StaleCall> {
        let open = self.calls.iter().filter(|(_, call)| call.status == CallStatus::Open);
        let stale = open.filter_map(|(execution, call)| {
            let caller = &self.rows[self.by_id[&call.caller]];
            let is_awaited = caller.finished_at.is_none() && caller.attempt == call.attempt;
            (!is_awaited || call.deadline_at <= now).then(|| StaleCall {
                execution: *execution,
                agent: call.agent.clone(),
                caller: call.caller,
                caller_agent: caller.agent.clone(),
                trace_id: caller.event.trace_id,
                is_awaited,
            })
        });
        stale.take(limit).collect()
    }
}
