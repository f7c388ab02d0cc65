//! Calls of other agents: a step each, which stays intended until the other's end settles it.

use greenroom_contract::{
    Event, ExecutionId, ReplyTo,
    call::{self, AgentCall, CallResult, Called},
    execution::{Effect, StepKind},
    port::{state::NewCall, tool::Answer},
    status::{ExecutionStatus, StepStatus},
};
use serde_json::Value;

use super::{
    context::{Context, to_json},
    entry::{Ask, Outcome},
    hash,
    trouble::Trouble,
};

impl Context {
    /// Asks other agents, side by side, and says of each call whether it has ended. A behaviour that cannot go on while
    /// some are open returns [`Trouble::Waiting`]: it then holds nothing, and runs again over the journal as soon as any of
    /// its open calls has ended. Journaled; however often it runs, each is asked once.
    ///
    /// Whoever waits for this execution's answer cannot be asked for it, and no more than [`call::DEEPEST`] agents wait for
    /// each other in a row: such calls fail at once.
    pub async fn call_agents(&mut self, calls: Vec<AgentCall>) -> Result<Vec<Called>, Trouble> {
        self.check_going()?;
        let asked_by = self.claimed.event.reply_to.clone();
        let path = match &asked_by {
            Some(ReplyTo::Caller { path, .. }) => path.clone(),
            _ => Vec::new(),
        };
        let person = asked_by.as_ref().and_then(ReplyTo::person).cloned().map(Box::new);
        let mut called = Vec::with_capacity(calls.len());
        for call in calls {
            let payload = call::payload(&call);
            let AgentCall { agent, input, outputs: _, within } = call;
            let ask = Ask {
                kind: StepKind::Agent,
                name: agent.to_string(),
                request_hash: hash::of_call(agent.as_str(), &input),
                effect: Effect::Keyed,
            };
            let (caller, attempt, seq) = (self.claimed.fence.execution, self.claimed.attempt, self.journal.len());
            let event_id = call::event_id(caller, attempt, seq);
            let execution = ExecutionId::of(&agent, event_id);
            if let Some(failure) = call::refuse(&path, &self.claimed.agent, &agent) {
                let result = CallResult::failed(execution, ExecutionStatus::Failed, failure);
                let (status, outcome) = (StepStatus::Failed, to_json(&result));
                let refused = Outcome { status, result: outcome, usage: None, cost: None, asks: None };
                let outcome = self.journal.step(ask, |_| async { refused }).await?;
                called.push(Called { execution, result: Some(read(outcome.result)?) });
                continue;
            }
            let Some(outcome) = self.journal.call(ask).await? else {
                let mut event = Event::new(
                    agent.input_topic(),
                    format!("agent/{}", self.claimed.agent),
                    self.claimed.event.trace_id,
                    payload,
                );
                event.event_id = event_id;
                event.priority = self.claimed.event.priority;
                event.correlation_id = Some(caller.to_string());
                let path = path.iter().chain([&self.claimed.agent]).cloned().collect();
                event.reply_to = Some(ReplyTo::Caller { path, person: person.clone() });
                self.journal.called(NewCall { seq, agent, event, within });
                called.push(Called { execution, result: None });
                continue;
            };
            called.push(Called { execution, result: Some(read(outcome.result)?) });
        }
        self.between_calls();
        Ok(called)
    }

    /// Asks other agents as a tool, and returns their answers.
    pub(super) async fn ask_agents(&mut self, calls: Vec<AgentCall>) -> Result<Vec<Answer>, Trouble> {
        let agents: Vec<_> = calls.iter().map(|call| call.agent.clone()).collect();
        let called = self.call_agents(calls).await?;
        let mut answers = Vec::with_capacity(called.len());
        for (agent, call) in agents.iter().zip(called) {
            let Some(result) = call.result else { return Err(Trouble::Waiting) };
            self.others = self.others + result.cost.unwrap_or_default();
            answers.push(match (result.output, result.error) {
                (Some(Value::String(text)), _) => Answer::text(text),
                (Some(other), _) => Answer::text(other.to_string()),
                (None, Some(failure)) => Answer::error(format!("{agent} has no answer: {failure}")),
                (None, None) => Answer::error(format!("{agent} has no answer")),
            });
        }
        Ok(answers)
    }
}

fn read(result: Value) -> Result<CallResult, Trouble> {
    serde_json::from_value(result)
        .map_err(|error| Trouble::lasting("journal_unreadable", format!("a journaled answer cannot be read: {error}")))
}
