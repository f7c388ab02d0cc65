//! What exchanges and headers are called on the broker, and the arguments of its queues.

use greenroom_contract::port::bus::Sharing;
use lapin::types::{AMQPValue, FieldTable, LongString};

use super::options::{BROKER_DELIVERY_LIMIT, UNROUTED_KEPT};

/// Facts: a topic that no queue takes leads to [`UNROUTED`].
pub(super) const EVENTS: &str = "greenroom.events";
/// Commands: a topic that no queue takes is an error. An exchange of its own, because a message that an alternate exchange
/// took counts as routed.
pub(super) const COMMANDS: &str = "greenroom.commands";
/// The alternate exchange of [`EVENTS`], and the queue behind it, which keeps the newest.
pub(super) const UNROUTED: &str = "greenroom.unrouted";
/// The exchange to which the broker itself sends what it gives up; its queue is `DEAD_LETTER_QUEUE`.
pub(super) const DEAD: &str = "greenroom.dead";
/// Broadcasts. Nothing here is durable.
pub(super) const CLUSTER: &str = "greenroom.cluster";

/// How many times a message was rejected.
pub(super) const ATTEMPTS: &str = "x-attempts";
/// When it was published first, in milliseconds since the epoch.
pub(super) const FIRST_AT: &str = "x-first-at";
/// Why it was rejected last, for a person at the broker's own tools.
pub(super) const LAST_ERROR: &str = "x-last-error";
/// A dead letter's `Death`, as JSON.
pub(super) const DEATH: &str = "x-greenroom-death";

/// How many sets of arguments agents' queues have had so far.
const SETS: u32 = 2;

/// The arguments of an agent's queue, and their number. Arguments cannot be changed once a queue exists; a policy can set the
/// same, except for those that say how it is shared. Whoever changes a set here gives it the next number: queues are called by
/// it, and those with the earlier ones are looked for by theirs.
pub(super) fn agent_queue(sharing: Sharing) -> (u32, FieldTable) {
    let mut arguments = quorum();
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(BROKER_DELIVERY_LIMIT));
    arguments.insert("x-dead-letter-exchange".into(), text(DEAD));
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    // At-least-once quietly becomes at-most-once with any other overflow.
    arguments.insert("x-overflow".into(), text("reject-publish"));
    if sharing == Sharing::SingleActive {
        arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    }
    let number = match sharing {
        Sharing::Competing => 1,
        Sharing::SingleActive => 2,
    };
    (number, arguments)
}

/// What a queue is called that has these arguments, while its plain name is, or was, taken by one with others. No agent's
/// name holds a dot.
pub(super) fn versioned(name: &str, number: u32) -> String {
    format!("{name}.v{number}")
}

/// Every name that the broker may know a queue by; the plain one first.
pub(super) fn every_name(name: &str) -> impl Iterator<Item = String> {
    std::iter::once(name.to_owned()).chain((1..=SETS).map(move |number| versioned(name, number)))
}

/// A replicated, durable queue without limits.
pub(super) fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments
}

pub(super) fn unrouted_queue() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(UNROUTED_KEPT));
    arguments
}

pub(super) fn alternate() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("alternate-exchange".into(), text(UNROUTED));
    arguments
}

pub(super) fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(value))
}
