//! Who there is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, atomic::Ordering},
    time::Duration,
};

use greenroom_config::{
    Roles,
    load::{Definition, Refused},
};
use greenroom_contract::AgentId;
use tokio::sync::Notify;

use crate::{
    agent::{AgentHandle, Facts},
    caretaker::Vitals,
    cluster::Cluster,
    execution::Behaviour,
    lifecycle::Watchers,
    ports::Ports,
    supervisor::SupervisorHandle,
};

/// The orchestrator of a node. Cheap to clone.
#[derive(Clone)]
pub struct Orchestrator {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) ports: Arc<Ports>,
    pub(super) agents: SupervisorHandle,
    pub(super) vitals: Arc<Vitals>,
    pub(super) roles: Roles,
    pub(super) cluster: OnceLock<Arc<Cluster>>,
    /// Told when the folder was taken up anew.
    pub(super) wanted: Notify,
    /// Told when the folder was taken up anew, or an operator did something to a schedule: for the scheduler.
    pub(super) agenda: Notify,
    /// How long agents get to finish when the node stops.
    pub(super) grace: Duration,
    pub(super) table: Mutex<Registry>,
}

#[derive(Default)]
pub(super) struct Registry {
    /// What the folder says, last good versions included.
    pub(super) desired: BTreeMap<AgentId, Definition>,
    /// What runs, or is on its way out.
    pub(super) actual: BTreeMap<AgentId, Entry>,
    /// What agents do that are written in Rust; they are not in the folder.
    pub(super) native: BTreeMap<AgentId, Arc<dyn Behaviour>>,
    /// Files that were refused at the last look.
    pub(super) refused: Vec<Refused>,
    /// Who is held back by an operator, wherever it runs.
    pub(super) paused: BTreeSet<AgentId>,
    /// Grows with every pause and resumption.
    pub(super) pause_turn: u64,
    /// Whether the node takes work in.
    pub(super) ready: bool,
    /// How far the stop is, once it has begun.
    pub(super) stopping: Option<&'static str>,
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) handle: AgentHandle,
    pub(super) facts: Arc<Facts>,
    pub(super) leaving: bool,
}

impl Orchestrator {
    /// An orchestrator that knows no agents yet; they become children of `agents`.
    pub fn new(
        ports: Arc<Ports>,
        agents: SupervisorHandle,
        vitals: Arc<Vitals>,
        roles: Roles,
        grace: Duration,
    ) -> Self {
        let inner = Arc::new(Inner {
            ports,
            agents,
            vitals,
            roles,
            cluster: OnceLock::new(),
            wanted: Notify::new(),
            agenda: Notify::new(),
            grace,
            table: Mutex::default(),
        });
        inner.ports.who.is_known_by(&inner);
        Self { inner }
    }

    /// Says whether the node takes work in: true once it is up, false as soon as it is told to stop.
    pub fn set_ready(&self, ready: bool) {
        self.table().ready = ready;
    }

    /// The node stops, and this is what is being stopped: nothing is taken in any more, and its health names who is still
    /// at work.
    pub fn stopping(&self, phase: &'static str) {
        let mut table = self.table();
        table.ready = false;
        table.stopping = Some(phase);
    }

    /// How many executions are at work.
    pub fn at_work(&self) -> u32 {
        self.table().actual.values().map(|entry| entry.facts.running()).sum()
    }

    /// How many executions had to be aborted because the time to stop was over.
    pub fn given_back(&self) -> u64 {
        self.inner.ports.given_back.load(Ordering::Relaxed)
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Registry> {
        self.inner.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn entry(&self, agent: &AgentId) -> Option<Entry> {
        self.table().actual.get(agent).filter(|entry| !entry.leaving).cloned()
    }

    /// The address of an agent that is there.
    #[cfg(test)]
    pub(crate) fn handle(&self, name: &str) -> AgentHandle {
        let table = self.table();
        let entry = table.actual.iter().find(|(agent, _)| agent.as_str() == name);
        entry.map(|(_, entry)| entry.handle.clone()).expect("there is such an agent")
    }
}

impl Watchers for Orchestrator {
    fn listens(&self, agent: &AgentId, topic: &str) -> bool {
        let table = self.table();
        let subscriptions = table.desired.get(agent).map(|definition| &definition.spec.subscriptions);
        subscriptions.is_some_and(|patterns| patterns.iter().any(|pattern| pattern.matches(topic)))
    }
}
