//! Events as the broker's messages, both ways.

use greenroom_contract::{
    EventId, Priority,
    clock::{from_millis, to_millis},
    execution::Failure,
    port::bus::{Death, Error, Publication},
};
use jiff::Timestamp;
use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldTable, ShortString},
};

use super::names::{ATTEMPTS, COMMANDS, DEATH, EVENTS, FIRST_AT, LAST_ERROR, text};

/// Headers must fit into one frame with everything else.
const LONGEST_REASON: usize = 4_096;

/// A message on its way to the broker.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) exchange: &'static str,
    /// The topic; a queue's name when the exchange is the default one.
    pub(super) key: ShortString,
    pub(super) mandatory: bool,
    pub(super) body: Vec<u8>,
    pub(super) properties: BasicProperties,
    /// Recognises it among what the broker returns.
    pub(super) id: ShortString,
}

/// A message as it came, with what its headers say.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) body: Vec<u8>,
    properties: BasicProperties,
    /// How many times it was rejected before.
    pub(super) rejections: u32,
    first_at: Option<Timestamp>,
}

/// A publication as a parcel. Fails when no broker can take it: AMQP's topics have at most 255 bytes.
pub(super) fn event(publication: &Publication, now: Timestamp) -> Result<Parcel, Error> {
    let Publication { event, mandatory } = publication;
    let key = key(&event.event_type)?;
    let id = short(event.event_id.to_string());
    let properties = persistent(headers(now))
        .with_content_type("application/json".into())
        .with_priority(priority(event.priority))
        .with_message_id(id.clone())
        .with_timestamp(u64::try_from(now.as_second()).unwrap_or(0));
    let exchange = if *mandatory { COMMANDS } else { EVENTS };
    Ok(Parcel { exchange, key, mandatory: *mandatory, body: event.to_bytes(), properties, id })
}

/// Bytes as they are, under a topic that a queue must take.
pub(super) fn bytes(topic: &str, body: Vec<u8>, now: Timestamp) -> Result<Parcel, Error> {
    let id = short(EventId::new().to_string());
    let properties = persistent(headers(now)).with_message_id(id.clone());
    Ok(Parcel { exchange: COMMANDS, key: key(topic)?, mandatory: true, body, properties, id })
}

fn persistent(headers: FieldTable) -> BasicProperties {
    BasicProperties::default().with_delivery_mode(2).with_headers(headers)
}

fn headers(first_at: Timestamp) -> FieldTable {
    let mut headers = FieldTable::default();
    headers.insert(FIRST_AT.into(), AMQPValue::LongLongInt(to_millis(first_at)));
    headers
}

/// One mapping for every broker: RabbitMQ from 4.3 orders quorum queues strictly by it, 4.0 to 4.2 know two classes (above
/// 4 and the rest), 3.x ignores it.
fn priority(priority: Priority) -> u8 {
    match priority {
        Priority::Low => 1,
        Priority::Normal => 4,
        Priority::High => 8,
        Priority::Critical => 12,
    }
}

impl Letter {
    pub(super) fn new(delivery: Delivery) -> (Self, lapin::Acker) {
        let Delivery { data: body, properties, acker, .. } = delivery;
        let number = |name: &str| properties.headers().as_ref().and_then(|headers| integer(headers.inner().get(name)?));
        let rejections = number(ATTEMPTS).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        let first_at = number(FIRST_AT).map(from_millis);
        (Self { body, rejections, first_at, properties }, acker)
    }

    /// The same message for the end of its queue, with one more rejection.
    pub(super) fn again(&self, queue: &str, reason: &Failure) -> Result<Parcel, Error> {
        let mut headers = self.properties.headers().clone().unwrap_or_default();
        headers.insert(ATTEMPTS.into(), AMQPValue::LongLongInt(i64::from(self.rejections) + 1));
        headers.insert(LAST_ERROR.into(), text(&shorten(&reason.to_string())));
        self.readdress(queue, headers)
    }

    /// The same message for the dead letters.
    pub(super) fn dead(&self, dead_letters: &str, death: &Death) -> Result<Parcel, Error> {
        let mut headers = self.properties.headers().clone().unwrap_or_default();
        headers.insert(LAST_ERROR.into(), text(&shorten(&death.reason.to_string())));
        // Every field serialises.
        headers.insert(DEATH.into(), text(&serde_json::to_string(death).unwrap_or_default()));
        self.readdress(dead_letters, headers)
    }

    /// To a queue, whatever is bound.
    fn readdress(&self, queue: &str, headers: FieldTable) -> Result<Parcel, Error> {
        let given = self.properties.message_id().clone();
        let id = given.unwrap_or_else(|| short(EventId::new().to_string()));
        let properties =
            self.properties.clone().with_delivery_mode(2).with_headers(headers).with_message_id(id.clone());
        Ok(Parcel { exchange: "", key: key(queue)?, mandatory: true, body: self.body.clone(), properties, id })
    }

    /// How it would die now.
    pub(super) fn death(&self, queue: &str, reason: &Failure, now: Timestamp) -> Death {
        let reason = Failure { code: shorten(&reason.code), message: shorten(&reason.message) };
        let first_at = self.first_at.unwrap_or(now).min(now);
        Death { queue: queue.to_owned(), reason, attempts: self.rejections + 1, first_at, dead_at: now }
    }

    /// How a dead letter died: as we noted, else as the broker did, else somebody published it there.
    pub(super) fn died(&self) -> Death {
        let headers = self.properties.headers().as_ref().map(FieldTable::inner);
        if let Some(AMQPValue::LongString(json)) = headers.and_then(|headers| headers.get(DEATH))
            && let Ok(death) = serde_json::from_slice(json.as_bytes())
        {
            return death;
        }
        let stamped = self.properties.timestamp().map(|seconds| from_millis(seconds.saturating_mul(1_000) as i64));
        let first_at = self.first_at.or(stamped).unwrap_or_else(Timestamp::now);
        let by_broker = headers.and_then(|headers| match headers.get("x-death")? {
            AMQPValue::FieldArray(deaths) => match deaths.as_slice().first()? {
                AMQPValue::FieldTable(death) => Some(death.inner()),
                _ => None,
            },
            _ => None,
        });
        let Some(death) = by_broker else {
            let reason = Failure::new("published", "it was published to the dead letters by name");
            let queue = greenroom_contract::port::bus::DEAD_LETTER_QUEUE.to_owned();
            return Death { queue, reason, attempts: self.rejections, first_at, dead_at: first_at };
        };
        let word = |name: &str| match death.get(name) {
            Some(AMQPValue::LongString(word)) => word.to_string(),
            Some(AMQPValue::ShortString(word)) => word.to_string(),
            _ => "unknown".to_owned(),
        };
        let dead_at = match death.get("time") {
            Some(AMQPValue::Timestamp(seconds)) => from_millis(seconds.saturating_mul(1_000) as i64),
            _ => first_at,
        };
        let code = word("reason");
        let message = match code.as_str() {
            "delivery_limit" => "the broker delivered it too often: its consumers went away with it in hand",
            _ => "the broker gave it up",
        };
        let count = headers.and_then(|headers| integer(headers.get("x-delivery-count")?));
        let attempts = count.and_then(|n| u32::try_from(n).ok()).unwrap_or(0).max(self.rejections + 1);
        Death {
            queue: word("queue"),
            reason: Failure::new(&code, message),
            attempts,
            first_at: first_at.min(dead_at),
            dead_at,
        }
    }
}

/// Whatever width another client wrote it in.
fn integer(value: &AMQPValue) -> Option<i64> {
    match *value {
        AMQPValue::ShortShortInt(n) => Some(n.into()),
        AMQPValue::ShortShortUInt(n) => Some(n.into()),
        AMQPValue::ShortInt(n) => Some(n.into()),
        AMQPValue::ShortUInt(n) => Some(n.into()),
        AMQPValue::LongInt(n) => Some(n.into()),
        AMQPValue::LongUInt(n) => Some(n.into()),
        AMQPValue::LongLongInt(n) => Some(n),
        _ => None,
    }
}

pub(super) fn key(topic: &str) -> Result<ShortString, Error> {
    ShortString::try_new(topic).map_err(|_| Error::Unroutable { topic: topic.to_owned() })
}

/// For text that is known to be short.
fn short(text: String) -> ShortString {
    ShortString::try_new(text).unwrap_or_default()
}

fn shorten(text: &str) -> String {
    if text.len() <= LONGEST_REASON {
        return text.to_owned();
    }
    let mut end = LONGEST_REASON;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}
