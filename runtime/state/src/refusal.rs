//! Refusals that both stores put in the same words.

use greenroom_contract::{EventId, port::state::Error};

use crate::codec::Damaged;

/// A [`Error::Conflict`].
pub(crate) fn conflict(what: impl Into<String>) -> Error {
    Error::Conflict { what: what.into() }
}

/// Says which payload is damaged.
pub(crate) fn corrupt(what: impl std::fmt::Display) -> impl FnOnce(Damaged) -> Error {
    move |damaged| Error::Corrupt { what: format!("{what}: {damaged}") }
}

/// An unsigned number as a store keeps it.
pub(crate) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The step that is to be settled was never intended.
pub(crate) fn no_step(seq: u32, attempt: u32) -> Error {
    Error::NotFound { what: format!("step {seq} of attempt {attempt}") }
}

/// Another call stands at the step's place.
pub(crate) fn other_call(seq: u32, attempt: u32) -> Error {
    conflict(format!("step {seq} of attempt {attempt} was another call before, or has its outcome already"))
}

/// A claim works on one attempt; a step of another is a fault of the caller.
pub(crate) fn other_attempt(claimed: u32, attempt: u32) -> Error {
    conflict(format!("the claim is on attempt {claimed}, the step belongs to attempt {attempt}"))
}

/// A command was had before, and nothing but its name is left of it.
pub(crate) fn forgotten(event: EventId) -> Error {
    conflict(format!("the idempotency key of event {event} was used for a request whose history was deleted"))
}

/// An agent's state is its own.
pub(crate) fn foreign_state(by: &str, agent: &str) -> Error {
    conflict(format!("an execution of {by} may not write the state of {agent}"))
}

/// Somebody else has written the state in the meantime.
pub(crate) fn stale_state(agent: &str, replaces: u64) -> Error {
    conflict(format!("the state of {agent} is no longer at version {replaces}"))
}

/// An execution works on the state that is to be set anew.
pub(crate) fn busy_state(agent: &str) -> Error {
    conflict(format!(
        "an execution of {agent} is under way and began with the state that there is; wait for its end, or cancel it"
    ))
}
