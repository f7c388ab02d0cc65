//! Panics go to the log, in the span (and so with the trace id) in which they happened, and not to standard error.

use std::{backtrace::Backtrace, panic};

/// From now on a panic is a log line with its place and backtrace. Who looks after the panicked task hears of it too
/// and says what follows.
pub(super) fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let message = info.payload_as_str().unwrap_or("a panic without a message");
        let place = info.location().map(ToString::to_string);
        let backtrace = Backtrace::force_capture().to_string();
        tracing::error!(panic.place = place, panic.message = message, backtrace, "Something panicked.");
    }));
}
