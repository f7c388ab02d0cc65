//! Rows on their way out, their payloads still as they are stored: a database's thread or connection is not held up by
//! opening them.

use greenroom_contract::{
    AgentId, Event, ExecutionId,
    clock::from_millis,
    execution::{DeadLetter, Execution, Step},
    port::state::Result as Answer,
    status::ExecutionStatus,
};
use serde_json::{Value, json};

use crate::{
    codec::{self, Damaged, Stored},
    refusal::corrupt,
};

/// A step.
pub(crate) struct RawStep {
    pub(crate) step: Step,
    pub(crate) usage: Option<Stored>,
    pub(crate) result: Option<Stored>,
}

impl RawStep {
    pub(crate) fn open(self) -> Result<Step, Damaged> {
        let usage = self.usage.map(codec::decode_json).transpose()?;
        let result = self.result.map(codec::decode_json).transpose()?;
        Ok(Step { usage, result, ..self.step })
    }
}

/// Opens a journal that is shown.
pub(crate) fn open_steps(id: ExecutionId, journal: Vec<RawStep>) -> Answer<Vec<Step>> {
    let opened: Result<_, Damaged> = journal.into_iter().map(RawStep::open).collect();
    opened.map_err(corrupt(format_args!("the journal of execution {id}")))
}

/// Opens a payload that is shown. One that is damaged says so in its place.
pub(crate) fn open_or_say(payload: Stored) -> Value {
    codec::decode_json(payload).unwrap_or_else(unreadable)
}

fn unreadable(error: Damaged) -> Value {
    Value::String(format!("(unreadable: {error})"))
}

/// An execution. `seq` is its row's number.
pub(crate) struct RawExecution {
    pub(crate) seq: i64,
    pub(crate) shown: Execution,
    pub(crate) event: Stored,
    pub(crate) output: Option<Stored>,
}

impl RawExecution {
    /// Opens the payloads. One that is damaged says so in its place: a list is not lost over one of its rows.
    pub(crate) fn open(self) -> (i64, Execution) {
        #[derive(serde::Deserialize)]
        struct Asked {
            #[serde(default)]
            payload: Value,
        }
        let input = codec::decode_json::<Asked>(self.event).map_or_else(unreadable, |asked| asked.payload);
        let output = self.output.map(open_or_say);
        (self.seq, Execution { input, output, ..self.shown })
    }
}

/// An execution that a door promised and that has not reached the inbox: it exists as an outbox row only.
pub(crate) struct Undelivered {
    pub(crate) agent: AgentId,
    pub(crate) created_at: i64,
    pub(crate) available_at: i64,
    pub(crate) body: Stored,
}

impl Undelivered {
    /// The execution as the API shows it.
    pub(crate) fn show(self, id: ExecutionId) -> Result<Execution, Damaged> {
        let event: Event = codec::decode_json(self.body)?;
        Ok(Execution {
            id,
            agent: self.agent,
            event_id: event.event_id,
            event_type: event.event_type,
            trace_id: event.trace_id,
            status: ExecutionStatus::Queued,
            attempt: 0,
            epoch: 0,
            crashes: 0,
            node: None,
            priority: event.priority,
            source: event.source,
            input: event.payload,
            output: None,
            error: None,
            cost: None,
            saved: None,
            created_at: from_millis(self.created_at),
            started_at: None,
            finished_at: None,
            available_at: Some(from_millis(self.available_at)),
            steps: Some(Vec::new()),
        })
    }
}

/// A dead letter.
pub(crate) struct RawLetter {
    pub(crate) shown: DeadLetter,
    pub(crate) body: Stored,
}

impl RawLetter {
    pub(crate) fn open(self) -> DeadLetter {
        let bytes = match codec::decode(self.body) {
            Ok(bytes) => bytes,
            Err(error) => return DeadLetter { raw: Some(format!("(unreadable: {error})")), ..self.shown },
        };
        match (Event::from_bytes(&bytes), serde_json::from_slice(&bytes)) {
            (Ok(_), Ok(event)) => DeadLetter { event: Some(without_address(event)), ..self.shown },
            _ => DeadLetter { raw: Some(String::from_utf8_lossy(&bytes).into_owned()), ..self.shown },
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
