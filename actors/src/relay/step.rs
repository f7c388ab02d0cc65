//! What becomes of a row that did not go out: pure.

use std::time::Duration;

use greenroom_contract::{
    execution::Failure,
    port::{bus, reply, state::OutboxOutcome},
};

/// Tries of a reply before it becomes a dead letter; with the waits below that is about an hour.
const MAX_REPLY_TRIES: u32 = 20;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Of an event that the bus did not take.
pub(super) fn after_publish(attempts: u32, error: &bus::Error, jitter: f64) -> OutboxOutcome {
    // Also an unroutable command waits: its agent's queue may be declared in a moment (a start, a reload).
    OutboxOutcome::Retry { after: wait(attempts, jitter).min(Duration::from_secs(30)), reason: error.to_string() }
}

/// Of a reply that was not delivered.
pub(super) fn after_reply(attempts: u32, error: &reply::Error, jitter: f64) -> OutboxOutcome {
    match error {
        reply::Error::Undeliverable { reason } => {
            OutboxOutcome::Dead(Failure::new("reply_undeliverable", reason.clone()))
        }
        reply::Error::Retry { reason, .. } if attempts + 1 >= MAX_REPLY_TRIES => OutboxOutcome::Dead(Failure::new(
            "reply_undeliverable",
            format!("{MAX_REPLY_TRIES} tries failed, the last one: {reason}"),
        )),
        reply::Error::Retry { reason, retry_after } => {
            let after = wait(attempts, jitter).max(retry_after.unwrap_or_default());
            OutboxOutcome::Retry { after, reason: reason.clone() }
        }
    }
}

fn wait(attempts: u32, jitter: f64) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(attempts.min(31)));
    doubled.min(LONGEST_WAIT).mul_f64(1.0 + 0.2 * jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_sides_wish_is_obeyed_and_tries_end() {
        let error = reply::Error::Retry { reason: "429".into(), retry_after: Some(Duration::from_secs(17)) };
        assert!(
            matches!(after_reply(0, &error, 0.0), OutboxOutcome::Retry { after, .. } if after == Duration::from_secs(17))
        );
        assert!(matches!(after_reply(19, &error, 0.0), OutboxOutcome::Dead(_)));
        let gone = reply::Error::Undeliverable { reason: "410".into() };
        assert!(matches!(after_reply(0, &gone, 0.0), OutboxOutcome::Dead(_)));
    }
}
