//! Waiting for a state.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

/// How long to wait between two looks. This is the only place of the tests that sleeps: a node is another process, which
/// can be asked how it is and cannot call back. 10 ms is short against every limit that a story sets.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// How long a story waits for what is to happen, whatever it is: a start, a kill and a lease, a redelivery, a reconnection, and
/// all of it on a machine that does ten other things. It costs nothing where the state comes; a limit of the product's own is
/// asserted apart, by what the node tells of it where that is possible.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// So much of the last look's reason stands in the message: it may be a whole listing.
const REASON: usize = 4_000;

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
            panic!("waited {limit:?} for {what}; the last look said: {}", cut(reason.to_string(), REASON));
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// The text, or its beginning with how much is left out.
pub(crate) fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = text.floor_char_boundary(most);
        let left_out = text.len() - end;
        text.truncate(end);
        text.push_str(&format!(" … and {left_out} bytes more"));
    }
    text
}
