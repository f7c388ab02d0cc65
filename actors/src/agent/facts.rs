//! What is known of an agent from outside: written by its shell, read by the registry without asking it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use greenroom_config::load::Definition;
use greenroom_contract::{NodeId, port::operator::AgentView, status::AgentStatus, tree::Ping};

use jiff::Timestamp;
use tokio::time::Instant;

use super::vital::{Care, Vital};
use crate::execution::Kit;

/// The facts of one agent.
pub struct Facts {
    view: Mutex<AgentView>,
    kit: Mutex<Option<Arc<Kit>>>,
    vital: Mutex<Vital>,
}

impl Facts {
    /// The facts of an agent that is about to start.
    pub fn new(node: NodeId, definition: &Definition) -> Self {
        let spec = &definition.spec;
        let view = AgentView {
            name: spec.name.clone(),
            agent_type: spec.agent_type.clone(),
            execution_mode: spec.execution_mode.as_str().to_owned(),
            description: spec.description.clone(),
            status: AgentStatus::Starting,
            reason: None,
            node,
            restarts: 0,
            version: definition.version.clone(),
            file: definition.file.display().to_string(),
            model: spec.llm_config.provider.as_str().to_owned(),
            tools: Vec::new(),
            degraded: Vec::new(),
            subscriptions: spec.subscriptions.clone(),
            schedule: spec.schedule.as_ref().map(|schedule| schedule.summary()),
            instances: spec.instances,
            running: 0,
            passivated: false,
            ping: Ping::default(),
        };
        Self { view: Mutex::new(view), kit: Mutex::default(), vital: Mutex::default() }
    }

    /// A copy, with the tools as they are now.
    pub fn view(&self) -> AgentView {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(kit) = &*self.kit.lock().unwrap_or_else(PoisonError::into_inner) {
            view.tools = kit.outfit.tools.list().into_iter().map(|tool| tool.name).collect();
            view.degraded = kit.outfit.tools.degraded();
        }
        view
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut AgentView)) {
        change(&mut self.view.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What is to be done about it now.
    pub(crate) fn care(&self, definition: &Definition) -> Care {
        let spec = &definition.spec;
        let care = self.vital().care(Instant::now(), spec.supervision.ping_every.0, spec.idle.flush_after.0);
        if care == Care::Ping {
            self.change(|view| view.ping.last_ping = Some(Timestamp::now()));
        }
        care
    }

    /// It answered a question of this moment.
    pub(super) fn pong(&self, asked: Instant) -> Ping {
        self.vital().answered();
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        view.ping.last_pong = Some(Timestamp::now());
        view.ping.rtt_us = Some(asked.elapsed().as_micros() as u64);
        view.ping
    }

    /// A generation of its shell begins, perhaps after sleep. Returns the restarts so far.
    pub(super) fn begins(&self, slept: bool) -> u32 {
        self.vital().awake(Instant::now());
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        if slept {
            view.status = AgentStatus::Starting;
        }
        view.passivated = false;
        view.restarts
    }

    /// There is nobody who could answer: it is being restarted.
    pub(crate) fn nobody(&self) {
        self.vital().answered();
    }

    /// Notes whether it has something to do; returns its turn.
    pub(super) fn works(&self, works: bool) -> u64 {
        self.vital().works(works, Instant::now())
    }

    /// It falls asleep: model and tools are let go.
    pub(super) fn asleep(&self) {
        self.vital().asleep();
        self.change(|view| {
            (view.status, view.reason, view.running, view.passivated) = (AgentStatus::Idle, None, 0, true)
        });
        *self.kit.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn vital(&self) -> MutexGuard<'_, Vital> {
        self.vital.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A version took over.
    pub(super) fn took_over(&self, definition: &Definition, kit: &Arc<Kit>) {
        let before = self.view();
        let mut fresh = Self::new(before.node, definition).view();
        fresh.restarts = before.restarts;
        fresh.ping = before.ping;
        fresh.status = AgentStatus::Idle;
        fresh.model = format!("{}/{}", kit.outfit.llm.provider(), kit.outfit.llm.model());
        self.change(|view| *view = fresh);
        *self.kit.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(kit));
    }
}
