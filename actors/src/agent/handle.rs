//! What others hold of an agent: an address that outlives its restarts and its sleep.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};

use greenroom_config::load::Definition;
use greenroom_contract::{AgentId, ExecutionId};
use ractor::ActorRef;
use tokio::{sync::oneshot, time::Instant};

use super::{Tenure, here::Here, message::Message, shell::Memory};
use crate::{ports::Ports, supervisor::SupervisorHandle};

/// A stable address, and the definition that is wanted now. While the agent is being restarted, messages to it are
/// dropped: each of them is a wish about the present that the next generation reads from its definition. An agent that
/// sleeps is started by a wish, and reads it likewise.
#[derive(Clone)]
pub struct AgentHandle {
    inner: Arc<Inner>,
}

struct Inner {
    seat: Mutex<Seat>,
    definition: RwLock<Arc<Definition>>,
    paused: AtomicBool,
    here: Here,
}

/// Who sits there, and since when.
#[derive(Default)]
struct Seat {
    at: At,
    tenure: Arc<Tenure>,
}

#[derive(Default)]
enum At {
    #[default]
    Nobody,
    Up(ActorRef<Message>),
    /// It sleeps, or is about to: its shell hears nobody any more.
    Asleep(Nap),
}

struct Nap {
    supervisor: SupervisorHandle,
    /// Whether its supervisor knows.
    rested: bool,
    /// What it was told while it lay down: heard if it gets up again, else void, because who wakes reads what is wanted.
    wishes: Vec<Message>,
    /// What it wakes up with.
    memory: Option<Box<Memory>>,
}

/// What a generation of a shell begins with.
pub(super) struct Beginning {
    pub(super) tenure: Arc<Tenure>,
    /// Whether the one before fell asleep, and did not end abnormally.
    pub(super) slept: bool,
    pub(super) memory: Option<Box<Memory>>,
}

impl AgentHandle {
    /// The address of an agent that is about to start.
    pub fn new(definition: Arc<Definition>) -> Self {
        let inner = Inner {
            seat: Mutex::default(),
            definition: RwLock::new(definition),
            paused: AtomicBool::new(false),
            here: Here::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Whether its queue leads to this node, as far as whoever takes from it knows.
    pub(crate) fn here(&self) -> &Here {
        &self.inner.here
    }

    /// The next generation begins, and whichever was before has ended, whether it knows or not.
    pub(super) fn point_at(&self, actor: ActorRef<Message>, ports: &Arc<Ports>) -> Beginning {
        let tenure = Arc::<Tenure>::default();
        let before = {
            let mut seat = self.seat();
            std::mem::replace(&mut *seat, Seat { at: At::Up(actor), tenure: Arc::clone(&tenure) })
        };
        ports.dormitory.left(&self.name());
        before.tenure.end(ports);
        match before.at {
            At::Asleep(nap) if nap.rested => Beginning { tenure, slept: true, memory: nap.memory },
            At::Nobody | At::Up(_) | At::Asleep(_) => Beginning { tenure, slept: false, memory: None },
        }
    }

    /// The shell is about to end for want of work. From here on it hears nobody: who calls has it roused.
    pub(super) fn lie_down(&self, supervisor: SupervisorHandle) {
        self.seat().at = At::Asleep(Nap { supervisor, rested: false, wishes: Vec::new(), memory: None });
    }

    /// It stays up after all, and is told what was said meanwhile.
    pub(super) fn get_up(&self, actor: ActorRef<Message>) {
        let mut seat = self.seat();
        if let At::Asleep(nap) = std::mem::replace(&mut seat.at, At::Up(actor)) {
            for wish in nap.wishes {
                Self::tell(&seat, wish);
            }
        }
    }

    /// It is not wanted any more: should it sleep, nobody wakes it.
    pub(crate) fn leave(&self, ports: &Ports) {
        let mut seat = self.seat();
        if matches!(seat.at, At::Asleep(_)) {
            seat.at = At::Nobody;
        }
        drop(seat);
        ports.dormitory.left(&self.name());
    }

    /// What it is to wake up with; nothing, if an operator wished meanwhile that it begin afresh.
    pub(super) fn remember(&self, memory: Option<Box<Memory>>) {
        if let At::Asleep(nap) = &mut self.seat().at {
            let afresh = nap.wishes.iter().any(|wish| matches!(wish, Message::Restart));
            nap.memory = memory.filter(|_| !afresh);
        }
    }

    /// Its supervisor knows that it sleeps: from here on it can be roused. Who called before is answered now.
    pub(super) fn rested(&self, ports: &Ports) {
        if let At::Asleep(nap) = &mut self.seat().at {
            nap.rested = true;
            ports.dormitory.came(self.clone());
            if !std::mem::take(&mut nap.wishes).is_empty() {
                nap.supervisor.rouse(self.name().as_str());
            }
        }
    }

    /// There is work for it: it looks into the store, and is woken for it.
    pub(crate) fn rouse(&self) {
        self.wish(Message::Look);
    }

    /// The definition that is wanted: each generation begins with it.
    pub fn definition(&self) -> Arc<Definition> {
        Arc::clone(&self.inner.definition.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn name(&self) -> AgentId {
        self.definition().spec.name.clone()
    }

    /// Takes up a changed definition, now or at the next start.
    pub fn reload(&self, definition: Arc<Definition>) {
        *self.inner.definition.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&definition);
        self.wish(Message::Reload(definition));
    }

    /// Whether an operator holds it back: each generation begins so.
    pub(super) fn is_paused(&self) -> bool {
        self.inner.paused.load(Ordering::Relaxed)
    }

    /// Takes nothing new until [`AgentHandle::resume`], restarts of its shell included.
    pub fn pause(&self) {
        self.inner.paused.store(true, Ordering::Relaxed);
        self.wish(Message::Pause);
    }

    /// Takes work again.
    pub fn resume(&self) {
        self.inner.paused.store(false, Ordering::Relaxed);
        self.wish(Message::Resume);
    }

    /// Begins afresh, with a cleared budget.
    pub fn restart(&self) {
        self.inner.paused.store(false, Ordering::Relaxed);
        if let At::Asleep(nap) = &mut self.seat().at {
            nap.memory = None;
        }
        self.wish(Message::Restart);
    }

    /// Aborts the task of an execution that was cancelled in the store.
    pub fn cancel(&self, execution: ExecutionId) {
        self.send(Message::Cancel(execution));
    }

    /// Looks into the store now, unless it sleeps: there may be work that nobody feels responsible for.
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
        if let At::Up(actor) = &self.seat().at {
            actor.kill();
        }
    }

    /// Takes nothing new, and resolves when nothing is at work any more.
    pub async fn drain(&self) {
        let (done, drained) = oneshot::channel();
        self.send(Message::Drain(done));
        // An agent that is gone, or sleeps, has nothing at work either.
        drop(drained.await);
    }

    /// Tells it something that is worth waking it for.
    fn wish(&self, message: Message) {
        let mut seat = self.seat();
        match &mut seat.at {
            At::Asleep(nap) if nap.rested => nap.supervisor.rouse(self.name().as_str()),
            At::Asleep(nap) => nap.wishes.push(message),
            At::Up(_) | At::Nobody => {
                Self::tell(&seat, message);
            }
        }
    }

    fn send(&self, message: Message) -> bool {
        Self::tell(&self.seat(), message)
    }

    fn tell(seat: &Seat, message: Message) -> bool {
        let heard = matches!(&seat.at, At::Up(actor) if actor.send_message(message).is_ok());
        if !heard {
            tracing::debug!("An agent that is not up was addressed.");
        }
        heard
    }

    fn seat(&self) -> MutexGuard<'_, Seat> {
        self.inner.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
