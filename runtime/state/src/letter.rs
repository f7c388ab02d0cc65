//! Dead letters: how they are made and sent again, wherever they are kept.

use greenroom_contract::{
    AgentId, Event, EventId, ExecutionId, TraceId,
    clock::{from_millis, to_millis},
    execution::Failure,
    port::state::{NewDeadLetter, Replayed, Result},
};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    codec::{self, Stored},
    refusal::{conflict, corrupt},
    row::{NewRow, ReplyBody, receiver},
};

/// Under this topic, with the agent's name as its last word, every execution that was given up is told of. It is not the
/// name of the bus's dead-letter queue: what is told there would be another dead letter.
const TOPIC: &str = "greenroom.dead";

/// A letter before it is written, apart from its reason and body.
#[derive(Clone)]
pub(crate) struct Letter {
    pub(crate) agent: Option<AgentId>,
    pub(crate) queue: String,
    pub(crate) execution: Option<ExecutionId>,
    pub(crate) trace_id: Option<TraceId>,
    pub(crate) attempts: u32,
    pub(crate) node: Option<String>,
    pub(crate) first_at: i64,
    pub(crate) hash: Option<[u8; 32]>,
}

/// A letter that came from the bus, ready to be written.
pub(crate) struct FromBus {
    pub(crate) letter: Letter,
    pub(crate) reason: Failure,
    pub(crate) body: Stored,
    pub(crate) event_id: Option<EventId>,
    /// The execution that a door may have promised for it.
    pub(crate) execution: Option<ExecutionId>,
}

impl FromBus {
    pub(crate) fn new(letter: NewDeadLetter) -> Self {
        let NewDeadLetter { agent, queue, body, reason, attempts, first_at, node } = letter;
        let event = Event::from_bytes(&body).ok();
        let agent = agent.or_else(|| receiver(&queue));
        let event_id = event.as_ref().map(|event| event.event_id);
        let execution = agent.as_ref().zip(event_id).map(|(agent, event)| ExecutionId::of(agent, event));
        let mut hash = Sha256::new();
        hash.update((queue.len() as u64).to_be_bytes());
        hash.update(&queue);
        hash.update(&body);
        let letter = Letter {
            agent,
            queue,
            execution: None,
            trace_id: event.map(|event| event.trace_id),
            attempts,
            node: Some(node.as_str().to_owned()),
            first_at: to_millis(first_at),
            hash: Some(hash.finalize().into()),
        };
        Self { letter, reason, body: codec::encode(body), event_id, execution }
    }
}

/// The row that tells the bus of an execution that was given up.
pub(crate) fn told(
    agent: &str,
    id: ExecutionId,
    attempts: u32,
    trace_id: TraceId,
    reason: &Failure,
    now: i64,
) -> Result<NewRow> {
    let payload = json!({ "agent": agent, "execution_id": id, "reason": reason, "attempts": attempts });
    let mut told = Event::new(format!("{TOPIC}.{agent}"), "node", trace_id, payload);
    told.timestamp = from_millis(now);
    NewRow::event(&told, None, false)
}

/// A reply for the dead letters, where people look: its address is a capability and stays out.
pub(crate) fn without_address(body: Stored) -> Stored {
    let shown = match codec::decode_json::<ReplyBody>(body) {
        Ok(reply) => json!({ "reply_to": reply.to.kind(), "text": reply.text, "is_error": reply.is_error }),
        Err(error) => json!({ "unreadable": error.to_string() }),
    };
    codec::encode(shown.to_string().into_bytes())
}

/// What is needed to send a letter again.
pub(crate) struct Kept {
    pub(crate) agent: Option<AgentId>,
    pub(crate) attempts: u32,
    pub(crate) replayed_at: Option<i64>,
    pub(crate) body: Stored,
}

/// A letter about to be sent again.
pub(crate) struct Again {
    pub(crate) row: NewRow,
    /// What the letter says of its replay: the new execution, or the new event.
    pub(crate) carrier: String,
    pub(crate) replayed: Replayed,
}

impl Kept {
    /// Makes the new event of letter `id`, to where it came from.
    pub(crate) fn again(self, id: i64, now: i64) -> Result<Again> {
        let Self { agent, attempts, replayed_at, body } = self;
        if replayed_at.is_some() {
            return Err(conflict(format!("dead letter {id} was sent again already")));
        }
        let bytes = codec::decode(body).map_err(corrupt(format_args!("dead letter {id}")))?;
        let Ok(died) = Event::from_bytes(&bytes) else {
            return Err(conflict(format!("dead letter {id} is no event and cannot be sent again")));
        };
        let again = Event {
            event_id: EventId::new(),
            event_type: agent.as_ref().map_or_else(|| died.event_type.clone(), AgentId::input_topic),
            timestamp: from_millis(now),
            retry_count: died.retry_count.saturating_add(attempts),
            correlation_id: Some(died.event_id.to_string()),
            ..died
        };
        let execution_id = agent.as_ref().map(|agent| ExecutionId::of(agent, again.event_id));
        let carrier = execution_id.map_or_else(|| again.event_id.to_string(), |id| id.to_string());
        let mandatory = agent.is_some();
        let row = NewRow::event(&again, agent, mandatory)?;
        Ok(Again { row, carrier, replayed: Replayed { event_id: again.event_id, execution_id } })
    }
}
