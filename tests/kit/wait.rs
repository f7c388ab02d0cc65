//! Waiting for a state.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

/// How long to wait between two looks. This is the only place of the tests that sleeps: a node is another process, which
/// can be asked how it is and cannot call back. 10 ms is short against every limit that a story sets.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Looks until `condition` holds, at most `limit`.
///
/// # Panics
/// When the limit is reached, with `what` was waited for.
pub async fn until(what: &str, limit: Duration, mut condition: impl AsyncFnMut() -> bool) {
    seen(what, limit, async || if condition().await { Ok(()) } else { Err("it does not hold") }).await;
}

/// Looks until `look` gives something, at most `limit`, and returns it.
///
/// # Panics
/// When the limit is reached, with `what` was waited for and why the last look was not content.
pub async fn seen<T, E: Display>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Result<T, E>) -> T {
    let start = Instant::now();
    loop {
        let reason = match look().await {
            Ok(found) => return found,
            Err(reason) => reason,
        };
        if start.elapsed() >= limit {
            panic!("waited {limit:?} for {what}; the last look said: {reason}");
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}
