//! Changes of other nodes' trees, as far as they were heard: numbered and bounded.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

use super::{Change, RING};
use crate::id::NodeId;

/// News of another node.
#[derive(Debug, Clone, Serialize)]
pub struct Heard {
    /// Its number in this feed.
    #[serde(skip)]
    pub seq: u64,
    /// Which node.
    pub node: NodeId,
    /// What.
    #[serde(flatten)]
    pub news: News,
}

/// What was heard of another node.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum News {
    /// A place of its tree changed.
    Place(Change),
    /// It is heard, or is not heard any more; its last known branch stays.
    Node {
        /// When that was noticed.
        at: Timestamp,
        /// Whether it is heard.
        reachable: bool,
    },
    /// It said goodbye, or was silent for so long that it is forgotten: its branch goes.
    Left {
        /// When.
        at: Timestamp,
    },
}

/// What was heard since.
#[derive(Debug, Clone)]
pub enum Since {
    /// This, in order; empty if nothing was.
    Some(Vec<Heard>),
    /// More than is kept, or the number is not one of this feed's: take a snapshot.
    Gap,
}

/// The newest news of the other nodes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Feed(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kept: Mutex<Kept>,
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
struct Kept {
    news: VecDeque<Heard>,
    newest: u64,
}

impl Feed {
    /// An empty feed. Like a table's, its numbers begin at the microsecond of the start, so that those of an earlier life are
    /// known to be old.
    pub fn starting_at(now: Timestamp) -> Self {
        let newest = now.as_microsecond().unsigned_abs();
        let kept = Mutex::new(Kept { news: VecDeque::new(), newest });
        Self(Arc::new(Inner { kept, newest: watch::Sender::new(newest) }))
    }

    /// Adds news. Its own number, or its change's, is given here.
    pub fn push(&self, node: &NodeId, mut news: News) {
        let newest = {
            let mut kept = self.lock();
            if kept.news.len() == RING {
                kept.news.pop_front();
            }
            kept.newest += 1;
            let seq = kept.newest;
            if let News::Place(change) = &mut news {
                change.seq = seq;
            }
            kept.news.push_back(Heard { seq, node: node.clone(), news });
            seq
        };
        self.0.newest.send_replace(newest);
    }

    /// The number of the newest news.
    pub fn version(&self) -> u64 {
        self.lock().newest
    }

    /// What came after `seq`, the oldest first, at most so much.
    pub fn since(&self, seq: u64, at_most: usize) -> Since {
        let kept = self.lock();
        let behind = kept.newest.checked_sub(seq).and_then(|behind| usize::try_from(behind).ok());
        match behind.and_then(|behind| kept.news.len().checked_sub(behind)) {
            Some(first) => Since::Some(kept.news.range(first..).take(at_most).cloned().collect()),
            None => Since::Gap,
        }
    }

    /// Tells when there is something new.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.newest.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
