//! What outlives a node.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use greenroom_config::Roles;
use greenroom_contract::{Clock, ExecutionId, MicroUsd, NodeId, execution::Step, port::state::State};
use jiff::{SignedDuration, Timestamp};

use super::{chat::Chat, model::Model, up::House};
use crate::memory::{MemoryBus, MemoryState, PausedClock};

/// Store, bus and model, with a clock that follows tokio's.
pub struct World {
    /// The store.
    pub state: Arc<MemoryState>,
    /// The bus.
    pub bus: MemoryBus,
    /// The model.
    pub model: Arc<Model>,
    /// Where answers to people go.
    pub chat: Arc<Chat>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) node: NodeId,
    pub(super) roles: Roles,
    /// Whether its nodes share store and bus as a cluster does.
    pub(super) shared: bool,
    pub(super) grace: Duration,
    /// What a node may spend in a day.
    pub per_day: Option<MicroUsd>,
}

/// A clock that is wrong.
struct OffClock {
    clock: Arc<dyn Clock>,
    offset: SignedDuration,
}

impl Clock for OffClock {
    fn now(&self) -> Timestamp {
        self.clock.now() + self.offset
    }
}

impl Default for World {
    fn default() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(PausedClock::default());
        let state = Arc::new(MemoryState::new(Arc::clone(&clock)));
        Self {
            bus: MemoryBus::new(Arc::clone(&clock)),
            model: Arc::new(Model::new(Arc::clone(&state))),
            chat: Arc::default(),
            state,
            clock,
            node: NodeId::new("sim"),
            roles: Roles::all(),
            shared: false,
            grace: Duration::from_secs(20),
            per_day: None,
        }
    }
}

impl World {
    /// Another node of the same cluster: the same store, bus and model, under its own name and with its own
    /// roles. The store's switches are its own, so that it can be cut off alone.
    ///
    /// # Panics
    /// When the roles are none.
    pub fn node(&self, name: &str, roles: &str) -> Self {
        Self {
            state: Arc::new(self.state.from_another_node()),
            bus: self.bus.clone(),
            model: Arc::clone(&self.model),
            chat: Arc::clone(&self.chat),
            clock: Arc::clone(&self.clock),
            node: NodeId::new(name),
            roles: roles.parse().unwrap_or_else(|error| panic!("{roles}: {error}")),
            shared: true,
            grace: self.grace,
            per_day: self.per_day,
        }
    }

    /// The same node with a clock of its own, which is off by so much. The store's and the bus's stay right.
    pub fn off_by(self, offset: SignedDuration) -> Self {
        Self { clock: Arc::new(OffClock { clock: Arc::clone(&self.clock), offset }), ..self }
    }

    /// The journal of an execution.
    ///
    /// # Panics
    /// When the store does not answer.
    pub async fn steps(&self, id: ExecutionId) -> Vec<Step> {
        self.state.steps(id).await.unwrap_or_else(|error| panic!("no steps: {error}"))
    }

    /// What an agent has spent in all.
    ///
    /// # Panics
    /// When the store does not answer.
    pub async fn spent(&self, agent: &str) -> MicroUsd {
        let all = self.state.usage(Timestamp::UNIX_EPOCH).await.unwrap_or_else(|error| panic!("no account: {error}"));
        all.into_iter().filter(|(name, _)| name.as_str() == agent).map(|(_, spent)| spent.cost).sum()
    }

    /// Lets paused time pass.
    pub async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Starts a node with these agents, each a YAML text.
    ///
    /// # Panics
    /// When a text is no agent, or the node does not start.
    pub async fn open(&self, agents: &[String]) -> House {
        let definitions = agents.iter().map(|text| House::parse(text)).collect::<BTreeMap<_, _>>();
        House::start(self, definitions).await
    }
}
