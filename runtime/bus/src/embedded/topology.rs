//! Which queues there are. Declaring and retiring write first and change the memory after the commit.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use greenroom_contract::{
    TopicPattern,
    port::bus::{Error, QueueSpec, Sharing},
};

use super::{core::Core, queue::Queue, routes::Routes, rows};

/// The queues and their bindings.
#[derive(Default)]
pub(super) struct Topology {
    map: RwLock<Map>,
    /// Declarations go side by side, so that their commits are shared; a retirement goes alone, because it takes away.
    changing: tokio::sync::RwLock<()>,
    /// Counts declarations in the order of their commits, so that the memory takes them over in the same order.
    revisions: Arc<AtomicU64>,
}

#[derive(Default)]
struct Map {
    entries: HashMap<String, Entry>,
    routes: Routes,
}

struct Entry {
    queue: Arc<Queue>,
    bindings: Vec<TopicPattern>,
    sharing: Sharing,
    bound: bool,
    revision: u64,
}

impl Topology {
    /// What the file holds. `known` are queues that exist already in memory.
    pub(super) fn load(stored: Vec<rows::StoredQueue>, known: &Arc<Queue>) -> Self {
        let topology = Self::default();
        {
            let mut map = topology.map.write().unwrap_or_else(PoisonError::into_inner);
            for row in stored {
                let queue = if row.name == known.name() {
                    Arc::clone(known)
                } else {
                    Arc::new(Queue::new(row.id, &row.name, row.sharing, row.newest))
                };
                let bindings: Vec<TopicPattern> = row.bindings.iter().filter_map(|text| readable(&row, text)).collect();
                let entry = Entry { queue, bindings, sharing: row.sharing, bound: false, revision: 0 };
                map.entries.insert(row.name.clone(), entry);
                if !row.retired {
                    map.bind(&row.name);
                }
            }
        }
        topology
    }

    /// The queues that take a topic.
    pub(super) fn route(&self, topic: &str) -> Vec<Arc<Queue>> {
        self.read(|map| map.routes.find(topic))
    }

    /// A queue by its name.
    pub(super) fn find(&self, name: &str) -> Option<Arc<Queue>> {
        self.read(|map| map.entries.get(name).map(|entry| Arc::clone(&entry.queue)))
    }

    /// All queues.
    pub(super) fn all(&self) -> Vec<Arc<Queue>> {
        self.read(|map| map.entries.values().map(|entry| Arc::clone(&entry.queue)).collect())
    }

    pub(super) async fn declare(self: Arc<Self>, core: Arc<Core>, spec: QueueSpec) -> Result<(), Error> {
        let QueueSpec { name, mut bindings, sharing } = spec;
        bindings.sort();
        bindings.dedup();
        if self.has(&name, &bindings, sharing) {
            return Ok(());
        }
        let _beside_others = self.changing.read().await;
        let revisions = Arc::clone(&self.revisions);
        let patterns: Vec<String> = bindings.iter().map(TopicPattern::to_string).collect();
        let key = name.clone();
        let (revision, id, newest) = core
            .write(move |conn| {
                let (id, newest) = rows::declare(conn, &key, sharing, &patterns)?;
                Ok((revisions.fetch_add(1, Ordering::AcqRel) + 1, id, newest))
            })
            .await?;
        self.change(|map| {
            let entry = map.entries.entry(name.clone()).or_insert_with(|| Entry {
                queue: Arc::new(Queue::new(id, &name, sharing, newest)),
                bindings: Vec::new(),
                sharing,
                bound: false,
                revision: 0,
            });
            if revision > entry.revision {
                entry.revision = revision;
                map.unbind(&name);
                if let Some(entry) = map.entries.get_mut(&name) {
                    (entry.bindings, entry.sharing) = (bindings, sharing);
                    entry.queue.share(sharing);
                }
                map.bind(&name);
            }
        });
        Ok(())
    }

    pub(super) async fn retire(self: Arc<Self>, core: Arc<Core>, name: String) -> Result<(), Error> {
        let _alone = self.changing.write().await;
        let Some(queue) = self.find(&name) else { return Ok(()) };
        let arrivals = Arc::clone(queue.arrivals());
        let written = core
            .write(move |conn| {
                let deleted = rows::retire(conn, arrivals.queue())?;
                // From here on, jobs that matched the queue before leave it alone.
                arrivals.set_deleted(deleted);
                Ok(deleted)
            })
            .await;
        let deleted = written.inspect_err(|_| queue.arrivals().set_deleted(false))?;
        self.change(|map| {
            map.unbind(&name);
            if deleted {
                map.entries.remove(&name);
            }
        });
        if deleted {
            queue.dismiss(true);
        }
        Ok(())
    }

    fn has(&self, name: &str, bindings: &[TopicPattern], sharing: Sharing) -> bool {
        self.read(|map| {
            map.entries
                .get(name)
                .is_some_and(|entry| entry.bound && entry.bindings == bindings && entry.sharing == sharing)
        })
    }

    fn read<T>(&self, look: impl FnOnce(&Map) -> T) -> T {
        look(&self.map.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Map)) {
        change(&mut self.map.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Map {
    fn bind(&mut self, name: &str) {
        if let Some(entry) = self.entries.get_mut(name)
            && !std::mem::replace(&mut entry.bound, true)
        {
            self.routes.bind(&entry.queue, &entry.bindings);
        }
    }

    fn unbind(&mut self, name: &str) {
        if let Some(entry) = self.entries.get_mut(name)
            && std::mem::replace(&mut entry.bound, false)
        {
            self.routes.unbind(&entry.queue, &entry.bindings);
        }
    }
}

fn readable(queue: &rows::StoredQueue, pattern: &str) -> Option<TopicPattern> {
    pattern
        .parse()
        .inspect_err(|error| {
            tracing::warn!(%error, queue = queue.name, pattern, "A stored binding is not a topic pattern and is left out.");
        })
        .ok()
}
