//! What an actor may call: the ports of its node, handed to it by the boot.

use std::sync::{Arc, atomic::AtomicU64};

use greenroom_config::AgentSpec;
use greenroom_contract::{
    BoxFuture, Clock, NodeId,
    execution::Failure,
    port::{bus::Bus, llm::Llm, reply::Signs, state::State, tool::Toolset},
    tree::Table,
};
use tokio::runtime::Handle;

use crate::{
    allowance::Allowance, caretaker::Lease, ends::Ends, orchestrator::Who, outbox::Outbox, porter::Dormitory,
    sorter::Sorting, supervisor::Breaker, watchdog::Watchdog,
};

/// The outside world of every actor of a node. Cheap to clone.
#[derive(Clone)]
pub struct Ports {
    /// Who we are.
    pub node: NodeId,
    /// The store.
    pub state: Arc<dyn State>,
    /// The bus.
    pub bus: Arc<dyn Bus>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// What fits an agent out with its model and tools.
    pub outfitter: Arc<dyn Outfitter>,
    /// The supervision tree.
    pub table: Table,
    /// The way to the relay: something was put into the outbox.
    pub outbox: Arc<Outbox>,
    /// Tells who waits that an execution has ended; the store is asked for how. A missed one is found by polling.
    pub ended: Ends,
    /// Executions that had to be aborted and given back because the time to stop was over.
    pub given_back: Arc<AtomicU64>,
    /// Where executions run: on threads of their own, so that one that does not give its thread back is in the way of no
    /// shell, no door and no relay. In tests with paused time it is the runtime of everything.
    pub executions: Handle,
    /// Shows people that an agent is at work for them.
    pub signs: Arc<dyn Signs>,
    /// Our lease in the store.
    pub lease: Arc<Lease>,
    /// Watches over every execution.
    pub watchdog: Watchdog,
    /// Who of the node's agents sleeps.
    pub dormitory: Arc<Dormitory>,
    /// Who of the agents share queues.
    pub sorting: Arc<Sorting>,
    /// Knows when many agents fail of one cause.
    pub storm: Breaker,
    /// What this node may spend on models.
    pub allowance: Allowance,
    /// Which agents there are, wherever they run.
    pub who: Arc<Who>,
}

/// Fits an agent out. Implemented by the node, which knows the providers.
pub trait Outfitter: Send + Sync + 'static {
    /// The agent's model and tools, ready for use. A failure means that the agent is `unavailable` for that reason;
    /// the call has its own deadlines.
    fn outfit(&self, spec: Arc<AgentSpec>) -> BoxFuture<'_, Result<Outfit, Failure>>;
}

/// An agent's model and tools.
#[derive(Clone)]
pub struct Outfit {
    /// The model.
    pub llm: Arc<dyn Llm>,
    /// The model that is asked when the money does not reach for the first (`limits.budget_usd.degrade_to`).
    pub cheaper: Option<Arc<dyn Llm>>,
    /// The tools.
    pub tools: Arc<dyn Toolset>,
}
