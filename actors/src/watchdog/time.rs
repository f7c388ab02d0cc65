//! The watchdog's clock: the machine's, or the runtime's, which tests pause.

use std::time::Duration;

/// A monotonic clock; times are counted from its making.
#[derive(Debug, Clone, Copy)]
pub struct Time(Source);

#[derive(Debug, Clone, Copy)]
enum Source {
    Machine(std::time::Instant),
    Runtime(tokio::time::Instant),
}

impl Time {
    /// The machine's. The watchdog's thread is no part of the runtime, so it must not ask the runtime for the time.
    pub fn machine() -> Self {
        Self(Source::Machine(std::time::Instant::now()))
    }

    /// The runtime's: stands still while a test holds it.
    pub fn runtime() -> Self {
        Self(Source::Runtime(tokio::time::Instant::now()))
    }

    /// How long ago the clock was made.
    pub fn now(&self) -> Duration {
        match self.0 {
            Source::Machine(start) => start.elapsed(),
            Source::Runtime(start) => start.elapsed(),
        }
    }
}
