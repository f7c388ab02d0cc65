//! The ends of executions, told to whoever waits for them on this node.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use greenroom_contract::{AgentId, ExecutionId};
use tokio::sync::{Notify, broadcast};

/// How many ends are remembered for those who begin to listen a moment too late, and how many a listener to all of them
/// may lag behind.
const KEPT: usize = 1024;
/// How many calls of other agents are kept in mind.
const CALLERS: usize = 10_000;

/// Tells that an execution has ended; the store is asked for how. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ends {
    all: broadcast::Sender<ExecutionId>,
    here: Arc<Mutex<Here>>,
    answers: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Here {
    recent: VecDeque<ExecutionId>,
    waiting: HashMap<ExecutionId, Vec<Arc<Notify>>>,
    callers: HashMap<ExecutionId, AgentId>,
    /// In the order in which they called.
    calls: VecDeque<ExecutionId>,
    answered: BTreeSet<AgentId>,
}

impl Default for Ends {
    fn default() -> Self {
        Self { all: broadcast::channel(KEPT).0, here: Arc::default(), answers: Arc::default() }
    }
}

impl Ends {
    /// An execution has ended on this node. Nobody may be waiting.
    pub fn tell(&self, id: ExecutionId) {
        self.heard_of(id);
        drop(self.all.send(id));
    }

    /// An execution has ended on another node, which tells the others itself.
    pub fn heard_of(&self, id: ExecutionId) {
        let mut here = self.lock();
        if here.recent.len() == KEPT {
            here.recent.pop_front();
        }
        here.recent.push_back(id);
        let waiting = here.waiting.remove(&id);
        if let Some(caller) = here.callers.remove(&id) {
            here.answered.insert(caller);
            self.answers.notify_one();
        }
        drop(here);
        for waiter in waiting.into_iter().flatten() {
            waiter.notify_one();
        }
    }

    /// Begins to listen for one end; it is heard too if it was told a moment ago.
    pub fn listen(&self, id: ExecutionId) -> Listener {
        let told = Arc::new(Notify::new());
        let mut here = self.lock();
        if here.recent.contains(&id) {
            told.notify_one();
        }
        here.waiting.entry(id).or_default().push(Arc::clone(&told));
        drop(here);
        Listener { ends: self.clone(), id, told }
    }

    /// An agent of this node waits for the end of another's execution. Of very many only the latest are kept in mind: the
    /// store has them all, and the scout asks it.
    pub fn call_back(&self, id: ExecutionId, caller: &AgentId) {
        let mut here = self.lock();
        if here.recent.contains(&id) {
            here.answered.insert(caller.clone());
            self.answers.notify_one();
            return;
        }
        if here.callers.insert(id, caller.clone()).is_none() {
            here.calls.push_back(id);
        }
        while here.calls.len() > CALLERS {
            if let Some(oldest) = here.calls.pop_front() {
                here.callers.remove(&oldest);
            }
        }
    }

    /// The agents whose calls have ended since it was asked last; resolves when there are any. For one listener.
    pub async fn answered(&self) -> BTreeSet<AgentId> {
        loop {
            let answered = std::mem::take(&mut self.lock().answered);
            if !answered.is_empty() {
                return answered;
            }
            self.answers.notified().await;
        }
    }

    /// Begins to listen for every end on this node.
    pub fn subscribe(&self) -> broadcast::Receiver<ExecutionId> {
        self.all.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Here> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever waits for one end.
#[derive(Debug)]
pub struct Listener {
    ends: Ends,
    id: ExecutionId,
    told: Arc<Notify>,
}

impl Listener {
    /// Resolves once the end was told, also before this was called. Cancelling it loses nothing.
    pub async fn heard(&self) {
        self.told.notified().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut here = self.ends.lock();
        if let Some(waiting) = here.waiting.get_mut(&self.id) {
            waiting.retain(|other| !Arc::ptr_eq(other, &self.told));
            if waiting.is_empty() {
                here.waiting.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use greenroom_contract::EventId;

    use super::*;

    fn id() -> ExecutionId {
        ExecutionId::of(&"clerk".parse().unwrap(), EventId::new())
    }

    #[test]
    fn only_its_own_end_is_heard_and_nothing_is_kept_of_who_has_gone() {
        let (ends, mine, other) = (Ends::default(), id(), id());
        let listener = ends.listen(mine);
        ends.tell(other);
        assert!(listener.heard().now_or_never().is_none());
        ends.tell(mine);
        assert!(listener.heard().now_or_never().is_some());
        drop((ends.listen(other), ends.listen(id()), listener));
        assert!(ends.lock().waiting.is_empty());
    }

    #[test]
    fn an_end_that_was_told_a_moment_ago_is_heard_and_not_one_of_long_ago() {
        let (ends, mine) = (Ends::default(), id());
        ends.tell(mine);
        assert!(ends.listen(mine).heard().now_or_never().is_some());
        (0..KEPT).for_each(|_| ends.tell(id()));
        assert!(ends.listen(mine).heard().now_or_never().is_none());
    }
}
