//! A node that is up.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use greenroom_actors::{
    agent,
    allowance::Allowance,
    caretaker::{LEASE, Vitals, dead_letters, deadlines, store_monitor, stuck, topology},
    cluster::{Cluster, Face, presence, scout},
    orchestrator::Orchestrator,
    porter::porter,
    ports::Ports,
    relay,
    scheduler::{caller, scheduler},
    supervisor::{Breaker, ChildSpec, State as Children, Supervisor, SupervisorHandle},
    watchdog::{Rules, Time, Watchdog},
};
use greenroom_config::{Definition, Loaded, Role};
use greenroom_contract::{
    AgentId, ExecutionId, MicroUsd, Priority, TraceId,
    execution::Execution,
    port::{
        operator::{AgentView, Error, Invocation, Operator},
        state::State,
    },
    tree::{Place, Table},
};
use serde_json::Value;
use tokio::{runtime::Handle, time::Instant};

use super::{cast::Wardrobe, world::World};
use crate::memory::{MemoryBus, MemoryState};

/// How long a test waits at most for anything, on paused time.
const LIMIT: Duration = Duration::from_secs(600);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// A node.
pub struct House {
    /// The machine.
    pub machine: Orchestrator,
    /// What its actors call.
    pub ports: Arc<Ports>,
    pub(super) state: Arc<MemoryState>,
    pub(super) bus: MemoryBus,
    pub(super) root: SupervisorHandle,
    pub(super) agents: SupervisorHandle,
    pub(super) grace: Duration,
    /// How many tasks there were before it.
    pub(super) tasks_before: usize,
    /// Ends the supervisors, which outlive their children.
    pub(super) end: Box<dyn FnOnce() + Send>,
    definitions: Mutex<BTreeMap<AgentId, Definition>>,
}

impl House {
    pub(super) async fn start(world: &World, definitions: BTreeMap<AgentId, Definition>) -> Self {
        let tasks_before = Handle::current().metrics().num_alive_tasks();
        let table = Table::new(&world.node);
        let ports = Arc::new(Ports {
            node: world.node.clone(),
            state: Arc::clone(&world.state) as Arc<dyn State>,
            bus: Arc::new(world.bus.clone()),
            clock: Arc::clone(&world.clock),
            outfitter: Arc::new(Wardrobe { model: Arc::clone(&world.model) }),
            table: table.clone(),
            outbox: Arc::default(),
            ended: Default::default(),
            given_back: Arc::default(),
            executions: Handle::current(),
            // It judges nobody here: no sampler runs it, and what it decides is tested where it lives.
            lease: Arc::default(),
            dormitory: Arc::default(),
            sorting: Arc::default(),
            watchdog: Watchdog::new(Time::runtime(), Rules::default(), 1),
            storm: Breaker::default(),
            signs: Arc::new(greenroom_contract::port::reply::NoSigns),
            allowance: Allowance::new(world.per_day, MicroUsd::default(), world.clock.now()),
            who: Default::default(),
        });
        let started = async {
            ports.state.heartbeat(&ports.node, LEASE).await.map_err(|error| error.to_string())?;
            ports.state.take_back(&ports.node).await.map_err(|error| error.to_string())?;
            let root = Supervisor::start(table.clone(), "", Children::default(), None);
            let (root, root_cell) = root.await.map_err(|error| error.to_string())?;
            let agents = Supervisor::start(table, agent::BRANCH, Children::of_equals(), Some(root_cell.clone()));
            let (agents, agents_cell) = agents.await.map_err(|error| error.to_string())?;
            Ok::<_, String>((root, root_cell, agents, agents_cell))
        };
        let (root, root_cell, agents, agents_cell) =
            started.await.unwrap_or_else(|error| panic!("the house does not start: {error}"));
        let vitals = Arc::new(Vitals::default());
        let roles = world.roles.clone();
        let machine = Orchestrator::new(Arc::clone(&ports), agents.clone(), Arc::clone(&vitals), roles, world.grace);
        root.add(store_monitor(Arc::clone(&ports), vitals));
        if world.shared {
            join(&ports, &machine, &root, world.roles.words()).await;
        }
        root.add(dead_letters(Arc::clone(&ports)));
        root.add(deadlines(Arc::clone(&ports)));
        root.add(stuck(Arc::clone(&ports)));
        if world.roles.has(Role::Orchestrator) {
            root.add(caller(Arc::clone(&ports), machine.clone()));
        }
        if world.roles.has(Role::Scheduler) {
            root.add(scheduler(Arc::clone(&ports), machine.clone()));
        }
        root.add(relay::relay(Arc::clone(&ports)));
        root.add(relay::replies(Arc::clone(&ports), Arc::clone(&world.chat) as _));
        root.add(scout(Arc::clone(&ports), machine.clone()));
        root.add(porter(Arc::clone(&ports), Default::default()));
        let house = Self {
            machine,
            ports,
            state: Arc::clone(&world.state),
            bus: world.bus.clone(),
            root,
            agents,
            grace: world.grace,
            tasks_before,
            end: Box::new(move || {
                agents_cell.stop(None);
                root_cell.stop(None);
            }),
            definitions: Mutex::new(definitions),
        };
        house.apply();
        house.machine.set_ready(true);
        house
    }

    /// An agent's file, read.
    ///
    /// # Panics
    /// When it is none.
    pub fn parse(text: &str) -> (AgentId, Definition) {
        match greenroom_config::parse(Path::new("agents/test.yaml"), text) {
            Ok(definition) => (definition.spec.name.clone(), definition),
            Err(refused) => panic!("{refused}"),
        }
    }

    /// Puts a child beside the agents, past the orchestrator.
    pub fn adopt(&self, child: ChildSpec) {
        self.agents.add(child);
    }

    /// Adds an agent, or changes it.
    pub fn define(&self, text: &str) {
        let (name, definition) = Self::parse(text);
        self.definitions().insert(name, definition);
        self.apply();
    }

    /// Takes an agent's file away.
    pub fn remove(&self, agent: &str) {
        self.definitions().remove(&id(agent));
        self.apply();
    }

    /// The files as they are now.
    pub fn files(&self) -> BTreeMap<AgentId, Definition> {
        self.definitions().clone()
    }

    fn apply(&self) {
        let agents = self.definitions().clone();
        self.machine.apply(Loaded { agents, refused: Vec::new() });
    }

    fn definitions(&self) -> MutexGuard<'_, BTreeMap<AgentId, Definition>> {
        self.definitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an agent work.
    pub async fn try_invoke(&self, agent: &str, input: &str) -> Result<ExecutionId, Error> {
        let invocation = Invocation {
            agent: id(agent),
            input: Value::String(input.to_owned()),
            priority: Priority::Normal,
            conversation: None,
            trace_id: TraceId::new(),
            source: "test".to_owned(),
            idempotency_key: None,
            reply_to: None,
        };
        self.machine.invoke(invocation).await.map(|invoked| invoked.execution_id)
    }

    /// Gives an agent work, which must be taken in.
    ///
    /// # Panics
    /// When it is not.
    pub async fn invoke(&self, agent: &str, input: &str) -> ExecutionId {
        self.try_invoke(agent, input).await.unwrap_or_else(|error| panic!("{agent} was not given {input:?}: {error}"))
    }

    /// Gives an agent work, and waits for its end.
    pub async fn ask(&self, agent: &str, input: &str) -> Execution {
        let id = self.invoke(agent, input).await;
        self.ended(id).await
    }

    /// An execution when it has ended.
    pub async fn ended(&self, id: ExecutionId) -> Execution {
        self.execution_where(id, "it has ended", |execution| execution.status.is_final()).await
    }

    /// An execution as it is once it is so.
    ///
    /// # Panics
    /// When it is not so within ten minutes of paused time.
    pub async fn execution_where(&self, id: ExecutionId, what: &str, is: impl Fn(&Execution) -> bool) -> Execution {
        let start = Instant::now();
        loop {
            let found = self.state.execution(id).await;
            match &found {
                Ok(Some(execution)) if is(execution) => return execution.clone(),
                _ if start.elapsed() > LIMIT => panic!("waited for execution {id} until {what}; it is {found:?}"),
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Waits until something holds.
    ///
    /// # Panics
    /// When it does not within ten minutes of paused time.
    pub async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let start = Instant::now();
        while !holds() {
            if start.elapsed() > LIMIT {
                panic!("waited for {what}; the tree is {:#?}", self.ports.table.snapshot());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until an agent is so.
    pub async fn agent_is(&self, agent: &str, status: &str) {
        let what = format!("{agent} to be {status}");
        self.until(&what, || self.view(agent).is_some_and(|view| view.status.as_str() == status)).await;
    }

    /// Lets paused time pass.
    pub async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// An agent as the registry shows it.
    pub fn view(&self, agent: &str) -> Option<AgentView> {
        self.machine.agents().into_iter().find(|view| view.name.as_str() == agent)
    }

    /// A place of the tree.
    pub fn place(&self, path: &str) -> Option<Place> {
        self.ports.table.place(path)
    }
}

/// What a node of a cluster has beside.
async fn join(ports: &Arc<Ports>, machine: &Orchestrator, root: &SupervisorHandle, roles: Vec<String>) {
    let face = Face {
        node: ports.node.clone(),
        roles,
        addr: "127.0.0.1:0".to_owned(),
        version: "test".to_owned(),
        started_at: ports.clock.now(),
    };
    let cluster = Arc::new(Cluster::new(face, Arc::clone(&ports.bus)));
    machine.join(Arc::clone(&cluster));
    machine.keep_paused(ports.state.paused().await.unwrap_or_default(), None);
    root.add(presence(Arc::clone(ports), cluster, machine.clone()));
    root.add(topology(Arc::clone(ports), machine.clone()));
}

/// An agent's name.
pub(super) fn id(agent: &str) -> AgentId {
    agent.parse().unwrap_or_else(|error| panic!("{agent:?}: {error}"))
}
