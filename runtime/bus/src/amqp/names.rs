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

/// The arguments of an agent's queue. They cannot be changed once the queue exists; a policy can set the same.
pub(super) fn agent_queue(sharing: Sharing) -> FieldTable {
    let mut arguments = quorum();
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(BROKER_DELIVERY_LIMIT));
    arguments.insert("x-dead-letter-exchange".into(), text(DEAD));
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    // At-least-once quietly becomes at-most-once with any other overflow.
    arguments.insert("x-overflow".into(), text("reject-publish"));
    if sharing == Sharing::SingleActive {
        arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    }
    arguments
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
