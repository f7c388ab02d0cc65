//! Who sleeps.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use greenroom_contract::AgentId;
use tokio::sync::Notify;

use crate::agent::AgentHandle;

/// The agents of the node that sleep, and what the porter has not read of it yet.
#[derive(Default)]
pub struct Dormitory {
    book: Mutex<Book>,
    news: Notify,
}

#[derive(Default)]
struct Book {
    sleepers: BTreeMap<AgentId, AgentHandle>,
    /// Who came or left, in order; who is in the book was the last to come.
    changed: Vec<AgentId>,
}

/// What changed for an agent: it came (again), or left.
pub(super) struct News {
    pub(super) agent: AgentId,
    pub(super) sleeper: Option<AgentHandle>,
}

impl Dormitory {
    /// An agent sleeps.
    pub(crate) fn came(&self, sleeper: AgentHandle) {
        let name = sleeper.name();
        let mut book = self.book();
        book.sleepers.insert(name.clone(), sleeper);
        book.changed.push(name);
        drop(book);
        self.news.notify_one();
    }

    /// It is up again, or gone. Nothing if it never came.
    pub(crate) fn left(&self, name: &AgentId) {
        let mut book = self.book();
        if book.sleepers.remove(name).is_none() {
            return;
        }
        book.changed.push(name.clone());
        drop(book);
        self.news.notify_one();
    }

    /// Everybody, for a porter that begins.
    pub(super) fn everybody(&self) -> Vec<News> {
        let mut book = self.book();
        book.changed = Vec::new();
        book.sleepers
            .iter()
            .map(|(agent, sleeper)| News { agent: agent.clone(), sleeper: Some(sleeper.clone()) })
            .collect()
    }

    /// What changed since it was last asked; waits until something has.
    pub(super) async fn news(&self) -> Vec<News> {
        loop {
            {
                let mut book = self.book();
                let changed = std::mem::take(&mut book.changed);
                if !changed.is_empty() {
                    let news = |agent: AgentId| News { sleeper: book.sleepers.get(&agent).cloned(), agent };
                    return changed.into_iter().map(news).collect();
                }
            }
            self.news.notified().await;
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
