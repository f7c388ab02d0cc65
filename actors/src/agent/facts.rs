//! What is known of an agent from outside: written by its shell, read by the registry without asking it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use greenroom_config::load::Definition;
use greenroom_contract::{NodeId, execution::Failure, port::operator::AgentView, status::AgentStatus, tree::Ping};

use jiff::Timestamp;
use tokio::time::Instant;

use super::vital::{Care, Vital};
use crate::execution::Kit;

/// The facts of one agent. What its definition says is not copied: there may be ten thousand.
pub struct Facts {
    node: NodeId,
    now: Mutex<Now>,
    vital: Mutex<Vital>,
}

/// What changes.
struct Now {
    /// The one that runs, or ran last.
    definition: Arc<Definition>,
    kit: Option<Arc<Kit>>,
    /// `provider/model`, once that is known.
    model: Option<Box<str>>,
    status: AgentStatus,
    reason: Option<Box<Failure>>,
    restarts: u32,
    running: u32,
    passivated: bool,
    ping: Ping,
}

/// What a shell says of itself.
pub(super) struct Said {
    pub(super) status: AgentStatus,
    pub(super) reason: Option<Failure>,
    pub(super) running: u32,
    pub(super) restarts: u32,
}

impl Facts {
    /// The facts of an agent that is about to start.
    pub fn new(node: NodeId, definition: Arc<Definition>) -> Self {
        let now = Now {
            definition,
            kit: None,
            model: None,
            status: AgentStatus::Starting,
            reason: None,
            restarts: 0,
            running: 0,
            passivated: false,
            ping: Ping::default(),
        };
        Self { node, now: Mutex::new(now), vital: Mutex::default() }
    }

    /// All of it as the registry shows it, with the tools as they are now.
    pub fn view(&self) -> AgentView {
        let now = self.now();
        let mut view = view(self.node.clone(), &now.definition);
        view.status = now.status;
        view.reason = now.reason.as_deref().cloned();
        view.restarts = now.restarts;
        view.running = now.running;
        view.passivated = now.passivated;
        view.ping = now.ping;
        if let Some(model) = &now.model {
            view.model = model.to_string();
        }
        let kit = now.kit.clone();
        // Tools are asked without the lock: the shell waits for it.
        drop(now);
        if let Some(kit) = kit {
            view.tools = kit.outfit.tools.names();
            view.degraded = kit.outfit.tools.degraded();
        }
        view
    }

    /// How many executions are at work.
    pub(crate) fn running(&self) -> u32 {
        self.now().running
    }

    pub(super) fn say(&self, said: Said) {
        let mut now = self.now();
        (now.status, now.running, now.restarts) = (said.status, said.running, said.restarts);
        now.reason = said.reason.map(Box::new);
    }

    /// Nothing is at work any more: the shell has ended.
    pub(super) fn at_rest(&self) {
        self.now().running = 0;
    }

    /// What is to be done about it now.
    pub(crate) fn care(&self, definition: &Definition) -> Care {
        let spec = &definition.spec;
        let care = self.vital().care(Instant::now(), spec.supervision.ping_every.0, spec.idle.flush_after.0);
        if care == Care::Ping {
            self.now().ping.last_ping = Some(Timestamp::now());
        }
        care
    }

    /// It answered a question of this moment.
    pub(super) fn pong(&self, asked: Instant) -> Ping {
        self.vital().answered();
        let mut now = self.now();
        now.ping.last_pong = Some(Timestamp::now());
        now.ping.rtt_us = Some(asked.elapsed().as_micros() as u64);
        now.ping
    }

    /// A generation of its shell begins, perhaps after sleep. Returns the restarts so far.
    pub(super) fn begins(&self, slept: bool) -> u32 {
        self.vital().awake(Instant::now());
        let mut now = self.now();
        if slept {
            now.status = AgentStatus::Starting;
        }
        now.passivated = false;
        now.restarts
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
        let mut now = self.now();
        (now.status, now.running, now.passivated) = (AgentStatus::Idle, 0, true);
        (now.reason, now.kit) = (None, None);
    }

    /// A version took over.
    pub(super) fn took_over(&self, definition: Arc<Definition>, kit: &Arc<Kit>) {
        let model = format!("{}/{}", kit.outfit.llm.provider(), kit.outfit.llm.model());
        let mut now = self.now();
        (now.definition, now.kit, now.model) = (definition, Some(Arc::clone(kit)), Some(model.into()));
        (now.status, now.reason, now.running, now.passivated) = (AgentStatus::Idle, None, 0, false);
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn vital(&self) -> MutexGuard<'_, Vital> {
        self.vital.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An agent as its definition says, of which nothing else is known.
pub(crate) fn view(node: NodeId, definition: &Definition) -> AgentView {
    let spec = &definition.spec;
    AgentView {
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
    }
}
