//! Between ractor's words for an end and ours.

use std::any::Any;

use greenroom_contract::execution::Failure;
use ractor::{ActorId, ActorProcessingErr, SupervisionEvent};

use crate::supervisor::Exit;

/// The code of a panic, wherever it was caught.
pub(crate) const PANICKED: &str = "panicked";

/// The reason with which an actor stops that falls asleep.
pub(crate) const ASLEEP: &str = "asleep";

/// An actor's own failure, carried through ractor's boxed error so that its supervisor gets it back whole.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Fault(pub(crate) Failure);

impl Fault {
    /// The failure as the error that ends an actor.
    pub(crate) fn boxed(failure: Failure) -> ActorProcessingErr {
        Box::new(Self(failure))
    }
}

/// Who ended and how; `None` for events that are no end. ractor spells an abnormal end in three ways
/// (failed, "killed", "actor_task_cancelled"); this is the one place that knows them.
pub(crate) fn exit_of(event: &SupervisionEvent) -> Option<(ActorId, Exit)> {
    match event {
        SupervisionEvent::ActorFailed(cell, error) => {
            let exit = match error.downcast_ref::<Fault>() {
                Some(Fault(failure)) => Exit::Failed(failure.clone()),
                None => Exit::Panicked(Failure::new(PANICKED, error.to_string())),
            };
            Some((cell.get_id(), exit))
        }
        SupervisionEvent::ActorTerminated(cell, _, reason) => {
            let exit = match reason.as_deref() {
                Some("killed" | "actor_task_cancelled") => {
                    Exit::Killed(Failure::new("killed", "it did not stop, or answer, in time"))
                }
                Some(ASLEEP) => Exit::Asleep,
                Some(_) => Exit::Stopped,
                None => Exit::Normal,
            };
            Some((cell.get_id(), exit))
        }
        _ => None,
    }
}

/// What a task said in its panic.
pub(crate) fn panic_message(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => panic_text(payload.as_ref()),
        Err(_) => "the task was aborted".to_owned(),
    }
}

/// The words of a panic that was caught.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => "a panic without a message".to_owned(),
    }
}
