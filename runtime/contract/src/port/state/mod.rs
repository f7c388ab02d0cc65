//! The state port: the store that is the truth.
//!
//! What every implementation promises, and the behaviour suite in `greenroom-state` checks:
//!
//! * **Durability.** A method that returned `Ok` has committed: `kill -9` of anything a moment later loses nothing of it.
//! * **Order.** Writes take effect in the order in which their futures were first polled.
//! * **Atomicity.** Each method is one transaction.
//! * **Fencing.** Every write that takes a [`Fence`](crate::execution::Fence) fails with [`Error::Fenced`] once another claim was made.
//! * **Scope.** An agent's checkpoint and conversation are reached only under that agent's id (R5.1).
//! * **Cancellation.** Dropping a future does not undo its work: it may still happen, wholly.
//! * **Time** is the store's own clock.

mod budget;
mod calls;
mod clarifications;
mod error;
mod finish;
mod inbox;
mod nodes;
mod outbox;
mod plan_runs;
mod questions;
mod schedules;
mod states;
mod store;
mod sweep;

pub use budget::{Reservation, Reserved};
pub use calls::{Calls, NewCall, StaleCall};
pub use clarifications::{Asked, ClarificationFilter, Clarifications, Decided, Decision, Escalated, Wait};
pub use error::{Error, Result};
pub use finish::{Checkpoint, CheckpointKey, Conclusion, Finish, NewCheckpoint};
pub use inbox::{Accepted, Arrival, Claim, LEFT_TO_THE_QUEUE, Release};
pub use nodes::NodeLease;
pub use outbox::{OutboxId, OutboxOutcome, OutboxRow, Outgoing, PendingRow, Submission, Submitted, Wanted};
pub use plan_runs::PlanRuns;
pub use questions::{DeadLetterFilter, ExecutionFilter, NewDeadLetter, Replayed, Spent, USAGE_BUCKET_MS};
pub use schedules::{
    Fire, Firing, IfBusy, MOST_AT_WORK, MOST_WAITING, NewFiring, ScheduleRow, Scheduled, Schedules, SetSchedule,
    WaitingFiring,
};
pub use states::{AgentStates, ConversationRow, NewState, NewStates, Transcript};
pub use store::{STOPPED, State};
pub use sweep::{LONG_MEMORY, Swept, long_ago};
