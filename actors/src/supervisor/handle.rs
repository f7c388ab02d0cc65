//! What others hold of a supervisor.

use std::time::Duration;

use ractor::{ActorCell, ActorRef};
use tokio::sync::oneshot;

use super::message::{ChildSpec, Message};

/// A cheap handle. Calls to a supervisor that has ended do nothing: the node is going down then.
#[derive(Clone)]
pub struct SupervisorHandle {
    actor: ActorRef<Message>,
}

impl SupervisorHandle {
    pub(super) fn new(actor: ActorRef<Message>) -> Self {
        Self { actor }
    }

    /// The supervisor that this actor is.
    pub(crate) fn of(cell: ActorCell) -> Self {
        Self::new(cell.into())
    }

    /// Starts a child and keeps it alive by its policy. A name that is taken changes nothing, unless its bearer is on its
    /// way out: then this one is started when that one is gone.
    pub fn add(&self, child: ChildSpec) {
        self.send(Message::Add(child));
    }

    /// Stops a child and forgets it, also while it waits for a restart.
    pub fn remove(&self, name: &str) {
        self.send(Message::Remove(name.to_owned()));
    }

    /// Tells a child to end in its own time and forgets it then. [`SupervisorHandle::remove`] sets it a limit after all.
    pub fn drain(&self, name: &str) {
        self.send(Message::Drain(name.to_owned()));
    }

    /// Starts a child that sleeps. Nothing happens to one that is up, or on its way to sleep: who falls asleep is told in
    /// [`ChildSpec::rested`] and looks then whether it was called meanwhile.
    pub fn rouse(&self, name: &str) {
        self.send(Message::Rouse(name.to_owned()));
    }

    /// Starts a child afresh, its budget cleared.
    pub fn refresh(&self, name: &str) {
        self.send(Message::Refresh(name.to_owned()));
    }

    /// Ends a child at once because it does not answer: an abnormal end, which its policy decides about.
    pub fn kill(&self, name: &str) {
        self.send(Message::Kill(name.to_owned()));
    }

    /// Stops every child, the last started first, and resolves when all are down or `at_most` is over.
    /// Returns whether all went down in time.
    pub async fn stop_all(&self, at_most: Duration) -> bool {
        let (done, all_down) = oneshot::channel();
        self.send(Message::StopAll(done));
        tokio::time::timeout(at_most, all_down).await.is_ok()
    }

    fn send(&self, message: Message) {
        if self.actor.send_message(message).is_err() {
            tracing::debug!("A supervisor that has ended was addressed.");
        }
    }
}
