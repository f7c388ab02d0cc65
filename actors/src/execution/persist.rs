//! Writing to a store that may be away for a while: work pauses and goes on by itself (R7.6).

use std::{future::Future, time::Duration};

use greenroom_contract::port::state::Error;

use crate::watchdog::Pulse;

const FIRST_WAIT: Duration = Duration::from_millis(100);
/// With its jitter well below the 5 s that a service gets to stop: a relay that waits for a store which is back is to notice.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How long the next try may take.
const TRY: Duration = Duration::from_secs(30);

/// Repeats `write` while the store is unavailable. Every write is safe to repeat: it is fenced or idempotent.
pub(crate) async fn persist<T, F, Fut>(what: &str, write: F) -> Result<T, Error>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    persist_under(None, what, write).await
}

/// Like [`persist`], by an execution: waiting for the store is no reason to call it hung.
pub(crate) async fn persist_under<T, F, Fut>(pulse: Option<&Pulse>, what: &str, mut write: F) -> Result<T, Error>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    let mut wait = FIRST_WAIT;
    loop {
        match write().await {
            Err(Error::Unavailable { reason }) => {
                tracing::warn!(error = reason, write = what, "The store is unavailable; the work waits for it.");
                if let Some(pulse) = pulse {
                    pulse.excuse(wait + TRY);
                }
                tokio::time::sleep(wait.mul_f64(1.0 + 0.2 * greenroom_contract::jitter())).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            other => return other,
        }
    }
}
