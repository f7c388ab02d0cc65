//! What others hold of an agent: an address that outlives its restarts.

use std::sync::{Arc, PoisonError, RwLock};

use greenroom_config::load::Definition;
use greenroom_contract::ExecutionId;
use ractor::ActorRef;
use tokio::sync::oneshot;

use super::message::Message;

/// A stable address. While the agent is being restarted, messages to it are dropped: each of them is a wish about the
/// present that the next generation reads from its definition.
#[derive(Clone, Default)]
pub struct AgentHandle {
    current: Arc<RwLock<Option<ActorRef<Message>>>>,
}

impl AgentHandle {
    pub(super) fn point_at(&self, actor: ActorRef<Message>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(actor);
    }

    /// Takes up a changed definition.
    pub fn reload(&self, definition: Arc<Definition>) {
        self.send(Message::Reload(definition));
    }

    /// Takes nothing new until [`AgentHandle::resume`].
    pub fn pause(&self) {
        self.send(Message::Pause);
    }

    /// Takes work again.
    pub fn resume(&self) {
        self.send(Message::Resume);
    }

    /// Begins afresh, with a cleared budget.
    pub fn restart(&self) {
        self.send(Message::Restart);
    }

    /// Aborts the task of an execution that was cancelled in the store.
    pub fn cancel(&self, execution: ExecutionId) {
        self.send(Message::Cancel(execution));
    }

    /// Takes nothing new, and resolves when nothing is at work any more.
    pub async fn drain(&self) {
        let (done, drained) = oneshot::channel();
        self.send(Message::Drain(done));
        // An agent that is gone has nothing at work either.
        drop(drained.await);
    }

    fn send(&self, message: Message) {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        if current.is_none_or(|actor| actor.send_message(message).is_err()) {
            tracing::debug!("An agent that is not up was addressed.");
        }
    }
}
