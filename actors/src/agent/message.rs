//! The inbox of an agent.

use std::{sync::Arc, time::Duration};

use greenroom_config::load::Definition;
use greenroom_contract::{
    ExecutionId, TraceId,
    execution::{Failure, Fence},
};
use ractor::ActorId;
use tokio::{sync::oneshot, time::Instant};

use super::Parcel;
use crate::execution::{Ending, Kit};

/// What an agent hears.
pub enum Message {
    /// From the fitting: the version is ready, or cannot be used for this reason.
    Fitted {
        /// Which fitting; an older one's news is dropped.
        fitting: u32,
        /// The definition that was fitted out.
        definition: Arc<Definition>,
        /// The outcome.
        result: Result<Arc<Kit>, Failure>,
    },
    /// From the feeder: an execution, claimed, with the credit that it holds until it ends.
    Claimed(Parcel),
    /// From an instance: an execution ended.
    Ended {
        /// Which, under which claim: it may have been claimed anew meanwhile.
        fence: Fence,
        /// In which workflow.
        trace_id: TraceId,
        /// How.
        ending: Ending,
    },
    /// From itself: an instance's backoff is over.
    Due {
        /// The instance.
        child: String,
        /// Which generation was waiting.
        generation: u32,
    },
    /// From itself: an instance had its time to stop.
    Overdue {
        /// The instance's actor: its name may be another's by now.
        instance: ActorId,
    },
    /// From the node's rounds: does it answer? Sent at this moment.
    Ping(Instant),
    /// From the node's rounds: it has had nothing to do for long. Void if it had since this turn.
    Passivate(u64),
    /// From itself: it was paused by a cause that others have too; may it go on?
    Admit,
    /// From a feeder that was stopped: it has handed over all that it had. Which one it was.
    Unfed(u32),
    /// From itself, when it has lain down: nothing was said that is not handled. With the number of its last feeder.
    Rest(u32),
    /// From itself: try again to fit out what could not be, unless another fitting was begun since.
    FitAgain(u32),
    /// From the orchestrator: the file changed.
    Reload(Arc<Definition>),
    /// From an operator: take nothing new.
    Pause,
    /// From an operator: take work again.
    Resume,
    /// From an operator: begin afresh, with a cleared budget; an unavailable agent is fitted out again.
    Restart,
    /// From the node's scout, or the porter: there is work for it in the store.
    Look,
    /// From an operator: this execution was cancelled; its task is pointless.
    Cancel(ExecutionId),
    /// From the orchestrator: take nothing new, and say when nothing is at work any more.
    Drain(oneshot::Sender<()>),
    /// From the supervisor: finish within this time, give back what remains, and end.
    Stop(Duration),
    /// From itself: the time to finish is nearly over; what is at work stops between two calls.
    Adjourn,
    /// From itself: the time to finish is over.
    GiveUp,
    /// From a test: be busy with this, and hear nobody meanwhile.
    #[cfg(test)]
    Busy(greenroom_contract::BoxFuture<'static, ()>),
}
