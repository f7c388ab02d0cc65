//! Dead letters.

use greenroom_contract::{
    AgentId, Event, EventId, ExecutionId,
    clock::{from_millis, to_millis},
    execution::{DeadLetter, Failure},
    page::{Page, PageRequest},
    port::state::{DeadLetterFilter, Error, NewDeadLetter, Outgoing, Replayed, Result},
    status::ExecutionStatus,
};
use serde_json::{Value, json};

use super::{
    outbox::receiver,
    shown::List,
    tables::{Letter, Tables, conflict},
};

impl Tables {
    pub(super) fn keep(&mut self, letter: Letter) -> i64 {
        self.next_letter += 1;
        self.letters.insert(self.next_letter, letter);
        self.next_letter
    }

    /// Writes the dead letter of an execution that is given up, and tells of it on the bus.
    pub(super) fn bury_execution(&mut self, number: usize, reason: Failure, now: i64) {
        let row = &self.rows[number];
        let payload = json!({
            "agent": row.agent, "execution_id": row.id, "reason": reason, "attempts": row.attempt
        });
        let mut told = Event::new(format!("greenroom.dead.{}", row.agent), "node", row.event.trace_id, payload);
        told.timestamp = from_millis(now);
        let letter = Letter {
            agent: Some(row.agent.clone()),
            queue: row.agent.input_topic(),
            execution: Some(row.id),
            trace_id: Some(row.event.trace_id),
            reason,
            attempts: row.attempt,
            node: row.node.clone(),
            first_at: row.created_at,
            dead_at: now,
            replayed: None,
            from_bus: false,
            body: row.event.to_bytes(),
        };
        self.keep(letter);
        self.send(Outgoing::Event { event: told, mandatory: false }, None, now);
    }

    pub(super) fn record_dead(&mut self, letter: NewDeadLetter, now: i64) -> i64 {
        let NewDeadLetter { agent, queue, body, reason, attempts, first_at, node } = letter;
        let event = Event::from_bytes(&body).ok();
        let agent = agent.or_else(|| receiver(&queue));
        let mut execution = None;
        if let Some(event) = &event {
            let id = agent.as_ref().map(|agent| ExecutionId::of(agent, event.event_id));
            execution = id.filter(|id| self.close(*id, ExecutionStatus::Dead, &reason, now));
            // A command that died on the bus reaches no inbox any more.
            self.arrived(event.event_id, |out| out.event().is_some_and(|(event, _)| event.event_type == queue));
        }
        let same = |letter: &Letter| letter.from_bus && letter.queue == queue && letter.body == body;
        if let Some((id, _)) = self.letters.iter().find(|(_, letter)| same(letter)) {
            return *id;
        }
        self.keep(Letter {
            agent,
            queue,
            execution,
            trace_id: event.map(|event| event.trace_id),
            reason,
            attempts,
            node: Some(node),
            first_at: to_millis(first_at),
            dead_at: now,
            replayed: None,
            from_bus: true,
            body,
        })
    }

    pub(super) fn dead_letters(&self, filter: &DeadLetterFilter, page: &PageRequest) -> Result<Page<DeadLetter>> {
        const LIST: List = List('d');
        let below = LIST.below(page)?;
        let wanted = self.letters.range(..below).rev().filter(|(_, letter)| {
            (filter.agent.is_none() || letter.agent == filter.agent) && (filter.replayed || letter.replayed.is_none())
        });
        let limit = page.limit.clamp(1, 500) as usize;
        let items = wanted.take(limit + 1).map(|(id, letter)| (*id, letter.show(*id))).collect();
        Ok(LIST.page(items, limit))
    }

    pub(super) fn dead_letter(&self, id: i64) -> Option<DeadLetter> {
        self.letters.get(&id).map(|letter| letter.show(id))
    }

    pub(super) fn replay(&mut self, id: i64, now: i64) -> Result<Replayed> {
        let letter = self.letters.get_mut(&id).ok_or_else(|| Error::NotFound { what: format!("dead letter {id}") })?;
        if letter.replayed.is_some() {
            return Err(conflict(format!("dead letter {id} was sent again already")));
        }
        let Ok(died) = Event::from_bytes(&letter.body) else {
            return Err(conflict(format!("dead letter {id} is no event and cannot be sent again")));
        };
        let agent = letter.agent.clone();
        let again = Event {
            event_id: EventId::new(),
            event_type: agent.as_ref().map_or_else(|| died.event_type.clone(), AgentId::input_topic),
            timestamp: from_millis(now),
            retry_count: died.retry_count.saturating_add(letter.attempts),
            correlation_id: Some(died.event_id.to_string()),
            ..died
        };
        let event_id = again.event_id;
        let execution_id = agent.as_ref().map(|agent| ExecutionId::of(agent, event_id));
        let carrier = execution_id.map_or_else(|| event_id.to_string(), |id| id.to_string());
        letter.replayed = Some((now, carrier));
        self.send(Outgoing::Event { event: again, mandatory: agent.is_some() }, agent, now);
        Ok(Replayed { event_id, execution_id })
    }
}

impl Letter {
    fn show(&self, id: i64) -> DeadLetter {
        let event = Event::from_bytes(&self.body).ok().and_then(|_| serde_json::from_slice(&self.body).ok());
        let raw = event.is_none().then(|| String::from_utf8_lossy(&self.body).into_owned());
        DeadLetter {
            id,
            agent: self.agent.clone(),
            queue: self.queue.clone(),
            execution_id: self.execution,
            event: event.map(without_address),
            raw,
            trace_id: self.trace_id,
            reason: self.reason.clone(),
            attempts: self.attempts,
            node: self.node.clone(),
            first_at: from_millis(self.first_at),
            dead_at: from_millis(self.dead_at),
            replayed_at: self.replayed.as_ref().map(|(at, _)| from_millis(*at)),
            replayed_as: self.replayed.as_ref().map(|(_, carrier)| carrier.clone()),
        }
    }
}

/// The event without its reply address, which is a capability: only its kind is shown.
fn without_address(mut event: Value) -> Value {
    if let Some(address) = event.get_mut("reply_to") {
        *address = json!({ "kind": address.get("kind") });
    }
    event
}
