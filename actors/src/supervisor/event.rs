//! What the core hears and what it has done about it.

use std::time::Duration;

use super::policy::{Exit, Policy};

/// What a supervisor hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A child is wanted from now on. One that is on its way out is started again when it is gone.
    Add {
        /// Its name.
        child: String,
        /// Its rules.
        policy: Policy,
    },
    /// A child is not wanted any more.
    Remove {
        /// Its name.
        child: String,
    },
    /// A child is to end in its own time, without a limit until it is removed, and is not wanted after that.
    Drain {
        /// Its name.
        child: String,
    },
    /// A start was completed.
    Started {
        /// Whose.
        child: String,
        /// Which.
        generation: u32,
    },
    /// A child ended, or could not start.
    Exited {
        /// Whose.
        child: String,
        /// Which.
        generation: u32,
        /// How.
        exit: Exit,
    },
    /// A wait that [`Action::Wake`] or [`Action::Retry`] asked for is over.
    Due {
        /// Whose.
        child: String,
        /// Which generation was waiting.
        generation: u32,
    },
    /// There is something to do for a child that sleeps. Nothing for one that is up: it finds the work itself.
    Rouse {
        /// Whose.
        child: String,
    },
    /// An operator (or a deploy) wants the child afresh: its budget is cleared and the restart does not count.
    Refresh {
        /// Whose.
        child: String,
    },
    /// Everything is to stop.
    StopAll,
}

/// What a supervisor does about it.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Start this generation.
    Start {
        /// Whose.
        child: String,
        /// Which.
        generation: u32,
    },
    /// Ask it to stop; kill it when `within` is over ([`Duration::MAX`]: never).
    Stop {
        /// Whose.
        child: String,
        /// Which.
        generation: u32,
        /// How long it gets.
        within: Duration,
    },
    /// It is restarted: come back with [`Event::Due`] after this long.
    Wake {
        /// Whose.
        child: String,
        /// Which generation waits.
        generation: u32,
        /// The wait.
        after: Duration,
    },
    /// The budget is spent: it stays down until an operator refreshes it, or a trial succeeds.
    Park {
        /// Whose.
        child: String,
        /// The last end.
        exit: Exit,
    },
    /// It is parked: come back with [`Event::Due`] after this long, for a trial.
    Retry {
        /// Whose.
        child: String,
        /// Which generation waits.
        generation: u32,
        /// The wait.
        after: Duration,
    },
    /// It fell asleep: nothing of it is up, and [`Event::Rouse`] starts it again.
    Rest {
        /// Whose.
        child: String,
    },
    /// The budget is spent and the supervisor itself is to end with this cause, once [`Action::AllStopped`] has come.
    Escalate {
        /// Whose.
        child: String,
        /// The last end.
        exit: Exit,
    },
    /// It is gone for good.
    Forget {
        /// Whose.
        child: String,
    },
    /// Everything has stopped.
    AllStopped,
}
