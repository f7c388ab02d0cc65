//! What others hold of an agent: an address that outlives its restarts.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};

use greenroom_config::load::Definition;
use greenroom_contract::ExecutionId;
use ractor::ActorRef;
use tokio::{sync::oneshot, time::Instant};

use super::{Tenure, message::Message};
use crate::ports::Ports;

/// A stable address, and the definition that is wanted now. While the agent is being restarted, messages to it are
/// dropped: each of them is a wish about the present that the next generation reads from its definition.
#[derive(Clone)]
pub struct AgentHandle {
    current: Arc<RwLock<Option<ActorRef<Message>>>>,
    definition: Arc<RwLock<Arc<Definition>>>,
    paused: Arc<AtomicBool>,
    tenure: Arc<RwLock<Arc<Tenure>>>,
}

impl AgentHandle {
    /// The address of an agent that is about to start.
    pub fn new(definition: Arc<Definition>) -> Self {
        Self {
            current: Arc::default(),
            definition: Arc::new(RwLock::new(definition)),
            paused: Arc::default(),
            tenure: Arc::default(),
        }
    }

    /// The next generation begins, and whichever was before has ended, whether it knows or not.
    pub(super) fn point_at(&self, actor: ActorRef<Message>, ports: &Arc<Ports>) -> Arc<Tenure> {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(actor);
        let tenure = Arc::<Tenure>::default();
        let before = {
            let mut current = self.tenure.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, Arc::clone(&tenure))
        };
        before.end(ports);
        tenure
    }

    /// The definition that is wanted: each generation begins with it.
    pub fn definition(&self) -> Arc<Definition> {
        Arc::clone(&self.definition.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes up a changed definition, now or at the next start.
    pub fn reload(&self, definition: Arc<Definition>) {
        *self.definition.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&definition);
        self.send(Message::Reload(definition));
    }

    /// Whether an operator holds it back: each generation begins so.
    pub(super) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// Takes nothing new until [`AgentHandle::resume`], restarts of its shell included.
    pub fn pause(&self) {
        self.paused.store(true, Ordering::Relaxed);
        self.send(Message::Pause);
    }

    /// Takes work again.
    pub fn resume(&self) {
        self.paused.store(false, Ordering::Relaxed);
        self.send(Message::Resume);
    }

    /// Begins afresh, with a cleared budget.
    pub fn restart(&self) {
        self.paused.store(false, Ordering::Relaxed);
        self.send(Message::Restart);
    }

    /// Aborts the task of an execution that was cancelled in the store.
    pub fn cancel(&self, execution: ExecutionId) {
        self.send(Message::Cancel(execution));
    }

    /// Looks into the store now: there is work that nobody feels responsible for.
    pub(crate) fn look(&self) {
        self.send(Message::Look);
    }

    /// Asks whether it answers; the answer is noted in its facts. Returns whether there was anybody to ask.
    pub(crate) fn ping(&self) -> bool {
        self.send(Message::Ping(Instant::now()))
    }

    /// Puts it to sleep, if it had no work since the given turn.
    pub(crate) fn passivate(&self, turn: u64) {
        self.send(Message::Passivate(turn));
    }

    /// Makes its shell deaf for as long as the work takes.
    #[cfg(test)]
    pub(crate) fn busy(&self, work: greenroom_contract::BoxFuture<'static, ()>) {
        self.send(Message::Busy(work));
    }

    /// Ends its shell at once, as a fault of the shell would.
    #[cfg(test)]
    pub(crate) fn kill(&self) {
        if let Some(actor) = self.current.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
            actor.kill();
        }
    }

    /// Takes nothing new, and resolves when nothing is at work any more.
    pub async fn drain(&self) {
        let (done, drained) = oneshot::channel();
        self.send(Message::Drain(done));
        // An agent that is gone has nothing at work either.
        drop(drained.await);
    }

    fn send(&self, message: Message) -> bool {
        let heard = {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            current.as_ref().is_some_and(|actor| actor.send_message(message).is_ok())
        };
        if !heard {
            tracing::debug!("An agent that is not up was addressed.");
        }
        heard
    }
}
