//! A store with one execution and one dead letter.
#![expect(clippy::unimplemented, reason = "no door calls these")]

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use greenroom_contract::{
    AgentId, BoxFuture, Event, EventId, ExecutionId, MicroUsd, NodeId, TraceId,
    clarification::Clarification,
    execution::{DeadLetter, Execution, Failure, Fence, Intended, Settled, Step},
    page::{Page, PageRequest},
    port::memory::Memory,
    port::state::{self, Reservation, Reserved, *},
    status::ExecutionStatus,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{NOW, execution, states::Kept};

#[derive(Default)]
pub(crate) struct FakeState {
    /// The filters and pages of the lists that were asked for.
    pub(crate) asked: Mutex<Vec<(ExecutionFilter, PageRequest)>>,
    /// The states of the agent that there is, by conversation.
    pub(crate) states: Mutex<BTreeMap<String, Kept>>,
    /// What it keeps in mind.
    pub(crate) memories: Mutex<Vec<Memory>>,
    /// How the question is, if not as it was asked.
    pub(crate) question: Mutex<Option<Clarification>>,
}

pub(crate) fn dead_letter() -> DeadLetter {
    let execution = execution(ExecutionStatus::Dead);
    DeadLetter {
        id: 7,
        agent: Some(execution.agent.clone()),
        queue: "agent.input.customer-support".into(),
        execution_id: Some(execution.id),
        event: Some(json!({
            "event_type": "slack.events.command.support",
            "payload": {"text": "hi"},
            "reply_to": {"kind": "slack", "response_url": "https://hooks.slack.com/secret"},
        })),
        raw: Some(r#"{"response_url":"https://hooks.slack.com/secret""#.into()),
        trace_id: Some(execution.trace_id),
        reason: Failure::new("provider_unavailable", "no answer"),
        attempts: 3,
        node: Some(NodeId::new("n1")),
        first_at: Timestamp::from_second(NOW).unwrap(),
        dead_at: Timestamp::from_second(NOW).unwrap(),
        replayed_at: None,
        replayed_as: None,
    }
}

impl State for FakeState {
    fn executions(&self, filter: ExecutionFilter, page: PageRequest) -> BoxFuture<'_, state::Result<Page<Execution>>> {
        let known = execution(ExecutionStatus::Succeeded);
        let found = filter.trace_id.is_none_or(|trace_id| trace_id == known.trace_id);
        let strange = page.cursor.as_deref() == Some("strange");
        self.asked.lock().unwrap().push((filter, page));
        if strange {
            return Box::pin(async {
                Err(state::Error::Conflict { what: "the cursor is not one of this list's".into() })
            });
        }
        Box::pin(async move { Ok(Page::whole(found.then_some(known).into_iter().collect())) })
    }

    fn execution(&self, id: ExecutionId) -> BoxFuture<'_, state::Result<Option<Execution>>> {
        Box::pin(async move { Ok(Some(execution(ExecutionStatus::Succeeded)).filter(|execution| execution.id == id)) })
    }

    fn steps(&self, _: ExecutionId) -> BoxFuture<'_, state::Result<Vec<Step>>> {
        Box::pin(async { Ok(vec![]) })
    }

    fn pending(&self, _: TraceId) -> BoxFuture<'_, state::Result<Vec<PendingRow>>> {
        Box::pin(async { Ok(vec![]) })
    }

    fn dead_letters(&self, _: DeadLetterFilter, _: PageRequest) -> BoxFuture<'_, state::Result<Page<DeadLetter>>> {
        Box::pin(async { Ok(Page::whole(vec![dead_letter()])) })
    }

    fn dead_letter(&self, id: i64) -> BoxFuture<'_, state::Result<Option<DeadLetter>>> {
        Box::pin(async move { Ok(Some(dead_letter()).filter(|letter| letter.id == id)) })
    }

    fn replay(&self, id: i64) -> BoxFuture<'_, state::Result<Replayed>> {
        Box::pin(async move {
            match id {
                7 => Ok(Replayed {
                    event_id: EventId::derived(&["again"]),
                    execution_id: Some(execution(ExecutionStatus::Queued).id),
                }),
                8 => Err(state::Error::Conflict { what: "dead letter 8 was sent again already".into() }),
                9 => Err(state::Error::Corrupt { what: "dead letter 9".into() }),
                _ => Err(state::Error::NotFound { what: format!("dead letter {id}") }),
            }
        })
    }

    fn purge(&self, id: i64) -> BoxFuture<'_, state::Result<bool>> {
        Box::pin(async move { Ok(id == 7) })
    }

    fn submit(&self, _: Submission) -> BoxFuture<'_, state::Result<Submitted>> {
        unimplemented!()
    }

    fn claim_outbox(&self, _: &NodeId, _: state::Wanted, _: bool) -> BoxFuture<'_, state::Result<Vec<OutboxRow>>> {
        unimplemented!()
    }

    fn settle_outbox(&self, _: Vec<(OutboxId, OutboxOutcome)>) -> BoxFuture<'_, state::Result<()>> {
        unimplemented!()
    }

    fn redrive_outbox(&self) -> BoxFuture<'_, state::Result<u64>> {
        unimplemented!()
    }

    fn accept(&self, _: Arrival) -> BoxFuture<'_, state::Result<Accepted>> {
        unimplemented!()
    }

    fn claim(&self, _: Claim) -> BoxFuture<'_, state::Result<Vec<greenroom_contract::execution::Claimed>>> {
        unimplemented!()
    }

    fn backlog(&self, _: &AgentId) -> BoxFuture<'_, state::Result<(u64, Option<Timestamp>)>> {
        unimplemented!()
    }

    fn release(&self, _: Fence, _: Release) -> BoxFuture<'_, state::Result<()>> {
        unimplemented!()
    }

    fn heartbeat(&self, _: &NodeId, _: Duration) -> BoxFuture<'_, state::Result<()>> {
        unimplemented!()
    }

    fn take_back(&self, _: &NodeId) -> BoxFuture<'_, state::Result<u64>> {
        unimplemented!()
    }

    fn leave(&self, _: &NodeId) -> BoxFuture<'_, state::Result<u64>> {
        unimplemented!()
    }

    fn nodes(&self) -> BoxFuture<'_, state::Result<Vec<state::NodeLease>>> {
        unimplemented!()
    }

    fn due_agents(&self, _: u32) -> BoxFuture<'_, state::Result<Vec<AgentId>>> {
        unimplemented!()
    }

    fn set_paused(&self, _: &AgentId, _: bool) -> BoxFuture<'_, state::Result<()>> {
        unimplemented!()
    }

    fn paused(&self) -> BoxFuture<'_, state::Result<Vec<AgentId>>> {
        unimplemented!()
    }

    fn journal(&self, _: Fence, _: Option<Settled>, _: Option<Intended>) -> BoxFuture<'_, state::Result<()>> {
        unimplemented!()
    }

    fn finish(&self, _: Fence, _: Finish) -> BoxFuture<'_, state::Result<()>> {
        unimplemented!()
    }

    fn cancel(&self, _: ExecutionId, _: Failure) -> BoxFuture<'_, state::Result<bool>> {
        unimplemented!()
    }

    fn checkpoint(&self, key: &CheckpointKey, _: u32) -> BoxFuture<'_, state::Result<Checkpoint>> {
        let Kept { version, data, messages } =
            self.states.lock().unwrap().get(&key.conversation).cloned().unwrap_or_default();
        let found = Checkpoint { version, data, length: messages.len() as u64, messages: Vec::new() };
        Box::pin(async move { Ok(found) })
    }

    fn memories(&self, _: &AgentId, _: u32) -> BoxFuture<'_, state::Result<Vec<Memory>>> {
        let memories = self.memories.lock().unwrap().clone();
        Box::pin(async move { Ok(memories) })
    }

    fn save_version(&self, _: &AgentId, _: &str, _: Value) -> BoxFuture<'_, state::Result<()>> {
        unimplemented!()
    }

    fn version(&self, _: &AgentId, _: &str) -> BoxFuture<'_, state::Result<Option<Value>>> {
        unimplemented!()
    }

    fn versions(&self, _: &AgentId) -> BoxFuture<'_, state::Result<Vec<Value>>> {
        unimplemented!()
    }

    fn usage(&self, since: Timestamp) -> BoxFuture<'_, state::Result<Vec<(AgentId, Spent)>>> {
        let spent = Spent { calls: 2, cost: MicroUsd(1500), ..Spent::default() };
        let told = since <= Timestamp::from_second(NOW).unwrap();
        let names = if told { vec!["customer-support", "researcher"] } else { Vec::new() };
        Box::pin(async move { Ok(names.into_iter().map(|name| (name.parse().unwrap(), spent)).collect()) })
    }

    fn reserve(&self, _: Reservation) -> BoxFuture<'_, state::Result<Reserved>> {
        unimplemented!()
    }

    fn spent_by_node(&self, _: &NodeId, _: Timestamp) -> BoxFuture<'_, state::Result<MicroUsd>> {
        unimplemented!()
    }

    fn record_dead(&self, _: NewDeadLetter) -> BoxFuture<'_, state::Result<i64>> {
        unimplemented!()
    }

    fn sweep(&self, _: Timestamp, _: u32) -> BoxFuture<'_, state::Result<Swept>> {
        unimplemented!()
    }

    fn health(&self) -> BoxFuture<'_, state::Result<()>> {
        unimplemented!()
    }
}

impl Schedules for FakeState {
    fn schedules(&self) -> BoxFuture<'_, state::Result<Scheduled>> {
        unimplemented!()
    }

    fn set_schedule(&self, _: SetSchedule) -> BoxFuture<'_, state::Result<bool>> {
        unimplemented!()
    }

    fn fire(&self, _: Fire) -> BoxFuture<'_, state::Result<Option<Vec<Firing>>>> {
        unimplemented!()
    }

    fn trigger_schedule(&self, _: &AgentId, _: NewFiring) -> BoxFuture<'_, state::Result<Firing>> {
        unimplemented!()
    }

    fn next_waiting(&self, _: &AgentId) -> BoxFuture<'_, state::Result<Option<WaitingFiring>>> {
        unimplemented!()
    }

    fn release_firing(&self, _: &AgentId, _: Timestamp, _: Event) -> BoxFuture<'_, state::Result<bool>> {
        unimplemented!()
    }

    fn pause_schedule(&self, _: &AgentId, _: bool) -> BoxFuture<'_, state::Result<()>> {
        unimplemented!()
    }

    fn firings(&self, _: &AgentId, _: u32) -> BoxFuture<'_, state::Result<Vec<Firing>>> {
        unimplemented!()
    }
}
