//! Publishing: match in memory, write the whole batch in one transaction, then tell the queues.

use std::sync::Arc;

use greenroom_contract::{
    Event, EventId, Priority,
    port::bus::{Error, Publication, Receipt},
};
use rusqlite::Connection;

use super::{
    arrivals::{Arrivals, Landed},
    core::{Core, Ids},
    queue::{LARGE, Queue},
    rows,
    shelf::{Facts, Letter, Slot},
};

/// A message with the queues that take it.
pub(super) struct Message {
    topic: String,
    mandatory: bool,
    body: Content,
    queues: Vec<Arc<Queue>>,
}

enum Content {
    Event(Box<Event>),
    /// Kept as they are, event or not.
    Bytes(Vec<u8>),
}

impl Message {
    pub(super) fn event(publication: Publication, queues: Vec<Arc<Queue>>) -> Self {
        let Publication { event, mandatory } = publication;
        Self { topic: event.event_type.clone(), mandatory, body: Content::Event(Box::new(event)), queues }
    }

    pub(super) fn bytes(topic: &str, body: Vec<u8>, queues: Vec<Arc<Queue>>) -> Self {
        Self { topic: topic.to_owned(), mandatory: true, body: Content::Bytes(body), queues }
    }

    fn draft(&self) -> Draft {
        let (event_id, priority, body) = match &self.body {
            Content::Event(event) => (Some(event.event_id), event.priority, event.to_bytes()),
            // Bytes that are an event count as that event, so that it waits once.
            Content::Bytes(bytes) => match rows::parse(bytes) {
                Letter::Event(event) => (Some(event.event_id), event.priority, bytes.clone()),
                _ => (None, Priority::Normal, bytes.clone()),
            },
        };
        let targets = self.queues.iter().map(|queue| Arc::clone(queue.arrivals())).collect();
        Draft { event_id, priority: priority.as_u8(), body, targets }
    }
}

/// What the writer needs of a message.
struct Draft {
    event_id: Option<EventId>,
    priority: u8,
    body: Vec<u8>,
    targets: Vec<Arc<Arrivals>>,
}

/// What became of a message in one queue.
enum Outcome {
    Taken(Landed),
    /// The event waits there already: taken, from the publisher's side.
    Duplicate,
    /// The queue was deleted after the match.
    Gone,
}

/// What the shelf needs of a message besides its content.
struct Kept {
    priority: u8,
    /// Whether it is small enough to be kept in memory.
    small: bool,
    facts: Facts,
}

/// Publishes the batch, in order, and answers for each message once all are committed.
pub(super) async fn publish(core: Arc<Core>, batch: Vec<Message>) -> Vec<Result<Receipt, Error>> {
    let published_at = core.now();
    let drafts: Vec<Draft> = batch.iter().map(Message::draft).collect();
    let facts = Facts { rejections: 0, published_at };
    let kept = |draft: &Draft| Kept { priority: draft.priority, small: draft.body.len() <= LARGE, facts };
    let kept: Vec<Kept> = drafts.iter().map(kept).collect();
    let written: Result<Vec<Vec<Outcome>>, Error> = if batch.iter().all(|message| message.queues.is_empty()) {
        Ok(batch.iter().map(|_| Vec::new()).collect())
    } else {
        let ids = core.ids();
        core.write(move |conn| drafts.iter().map(|draft| write(conn, &ids, draft, published_at)).collect()).await
    };
    match written {
        Ok(outcomes) => {
            let told = batch.into_iter().zip(&kept).zip(&outcomes);
            told.map(|((message, kept), outcomes)| tell(&core, message, kept, outcomes)).collect()
        }
        Err(error) => {
            // Some failures do not say whether the commit was made: the queues look for themselves.
            batch.iter().flat_map(|message| &message.queues).for_each(|queue| queue.recheck());
            let refuse = |message: &Message| {
                if message.queues.is_empty() { receipt(message, 0) } else { Err(error.clone()) }
            };
            batch.iter().map(refuse).collect()
        }
    }
}

/// On the writer thread.
fn write(conn: &Connection, ids: &Ids, draft: &Draft, published_at: i64) -> rusqlite::Result<Vec<Outcome>> {
    let mut outcomes = Vec::with_capacity(draft.targets.len());
    for target in &draft.targets {
        if target.is_deleted() {
            outcomes.push(Outcome::Gone);
            continue;
        }
        let id = ids.next();
        let taken = rows::insert(
            conn,
            &rows::Insert {
                id,
                queue: target.queue(),
                priority: draft.priority,
                event_id: draft.event_id,
                published_at,
                body: &draft.body,
            },
        )?;
        outcomes.push(if taken { Outcome::Taken(target.land(draft.priority, id)) } else { Outcome::Duplicate });
    }
    Ok(outcomes)
}

/// Tells the queues of a committed message, and says how many took it.
fn tell(core: &Arc<Core>, message: Message, kept: &Kept, outcomes: &[Outcome]) -> Result<Receipt, Error> {
    let taken = outcomes.iter().filter(|outcome| !matches!(outcome, Outcome::Gone)).count();
    let answer = receipt(&message, taken);
    log(&message, taken);
    let Message { body, queues, .. } = message;
    let mut event = match body {
        Content::Event(event) if kept.small => Some(event),
        _ => None,
    };
    let last = queues.len().saturating_sub(1);
    for (index, (queue, outcome)) in queues.iter().zip(outcomes).enumerate() {
        if let Outcome::Taken(landed) = outcome {
            let copy = if index == last { event.take() } else { event.clone() };
            let slot = copy.map(|event| Slot { facts: kept.facts, letter: Letter::Event(event) });
            queue.arrived(kept.priority, *landed, slot);
            queue.serve(core);
        }
    }
    answer
}

fn receipt(message: &Message, queues: usize) -> Result<Receipt, Error> {
    if queues == 0 && message.mandatory {
        return Err(Error::Unroutable { topic: message.topic.clone() });
    }
    Ok(Receipt { queues: Some(u32::try_from(queues).unwrap_or(u32::MAX)) })
}

fn log(message: &Message, queues: usize) {
    let topic = message.topic.as_str();
    match &message.body {
        Content::Event(event) => tracing::debug!(
            event_id = %event.event_id, trace_id = %event.trace_id, topic, queues, "An event was published."
        ),
        Content::Bytes(_) => tracing::debug!(topic, queues, "A message was published as it came."),
    }
}
