//! What this process saw last: checkpoints as they lie in Redis, already opened, so that a conversation that goes on here
//! is neither fetched nor read again.
//!
//! Like everything in the hot tier it is used only at the version that the durable store says, and may be forgotten at any
//! time.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use greenroom_contract::{ExecutionId, port::state::Checkpoint};

use super::entry::Latest;

/// The most checkpoints that are kept, and the most bytes of their entries.
const MOST: usize = 1024;
const MOST_BYTES: usize = 32 << 20;
/// How many ends are remembered.
const ENDS: usize = 1024;

/// The checkpoints that are near.
#[derive(Debug, Default)]
pub(super) struct Near(Mutex<Shelf>);

#[derive(Debug, Default)]
struct Shelf {
    kept: HashMap<String, Kept>,
    bytes: usize,
    uses: u64,
}

#[derive(Debug)]
struct Kept {
    version: u64,
    latest: Latest,
    size: usize,
    used: u64,
}

impl Near {
    /// Whether a checkpoint is here, at whatever version.
    pub(super) fn has(&self, place: &str) -> bool {
        self.lock().kept.contains_key(place)
    }

    /// The answer to a question for so many messages, if the checkpoint is here at this version with enough of them.
    pub(super) fn answer(&self, place: &str, version: u64, messages: u32) -> Option<Checkpoint> {
        let mut shelf = self.lock();
        shelf.uses += 1;
        let used = shelf.uses;
        let kept = shelf.kept.get_mut(place).filter(|kept| kept.version == version)?;
        kept.used = used;
        kept.latest.answer(version, messages)
    }

    /// Takes a checkpoint away, if it is here at this version.
    pub(super) fn take(&self, place: &str, version: u64) -> Option<Latest> {
        let mut shelf = self.lock();
        if shelf.kept.get(place)?.version != version {
            return None;
        }
        shelf.remove(place).map(|kept| kept.latest)
    }

    /// Keeps a checkpoint whose entry has so many bytes. An older version never replaces a later one.
    pub(super) fn keep(&self, place: &str, version: u64, latest: Latest, size: usize) {
        let mut shelf = self.lock();
        if size > MOST_BYTES / 8 || shelf.kept.get(place).is_some_and(|kept| kept.version > version) {
            return;
        }
        shelf.remove(place);
        shelf.uses += 1;
        shelf.bytes += size;
        let used = shelf.uses;
        shelf.kept.insert(place.to_owned(), Kept { version, latest, size, used });
        while shelf.kept.len() > MOST || shelf.bytes > MOST_BYTES {
            let oldest = shelf.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(place, _)| place.clone());
            let Some(oldest) = oldest else { break };
            shelf.remove(&oldest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn remove(&mut self, place: &str) -> Option<Kept> {
        let kept = self.kept.remove(place)?;
        self.bytes -= kept.size;
        Some(kept)
    }
}

/// Executions that ended here and that nobody has asked this process for yet. Redis has them only if another node was
/// asked, so that the durable store is asked straight away.
#[derive(Debug, Default)]
pub(super) struct JustEnded(Mutex<Ends>);

#[derive(Debug, Default)]
struct Ends {
    known: HashSet<ExecutionId>,
    order: VecDeque<ExecutionId>,
}

impl JustEnded {
    pub(super) fn add(&self, id: ExecutionId) {
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ends.known.insert(id) {
            ends.order.push_back(id);
        }
        while ends.order.len() > ENDS {
            if let Some(oldest) = ends.order.pop_front() {
                ends.known.remove(&oldest);
            }
        }
    }

    /// Whether it ended here just now; says so once.
    pub(super) fn take(&self, id: ExecutionId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).known.remove(&id)
    }
}

#[cfg(test)]
mod tests {
    use greenroom_contract::EventId;
    use serde_json::json;

    use super::*;

    fn latest() -> Latest {
        Latest::new(&Checkpoint { version: 1, data: json!(1), length: 0, messages: Vec::new() }, 10)
    }

    #[test]
    fn only_the_version_that_is_asked_for_is_told_and_the_least_used_goes() {
        let near = Near::default();
        near.keep("a", 2, latest(), 10);
        near.keep("a", 1, latest(), 10);
        assert!(near.answer("a", 1, 0).is_none() && near.take("a", 3).is_none());
        assert_eq!(near.answer("a", 2, 0).map(|found| found.version), Some(2));
        assert!(near.take("a", 2).is_some() && !near.has("a"));
        for number in 0..=MOST {
            near.keep(&number.to_string(), 1, latest(), 10);
            assert!(near.answer("0", 1, 0).is_some());
        }
        assert!(!near.has("1"), "it was used least");
        assert_eq!(near.lock().bytes, MOST * 10);
        for number in 0..20 {
            near.keep(&format!("big {number}"), 1, latest(), MOST_BYTES / 8);
        }
        assert!(near.lock().bytes <= MOST_BYTES);
        near.keep("huge", 1, latest(), MOST_BYTES);
        assert!(!near.has("huge"));
    }

    #[test]
    fn an_end_is_new_once() {
        let ends = JustEnded::default();
        let id = || ExecutionId::of(&"clerk".parse().unwrap(), EventId::new());
        let (first, second) = (id(), id());
        ends.add(first);
        assert!(ends.take(first) && !ends.take(first));
        ends.add(second);
        (0..ENDS).for_each(|_| ends.add(id()));
        assert!(!ends.take(second), "too long ago");
    }
}
