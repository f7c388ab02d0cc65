//! An agent: the shell that looks after one YAML file's instances.
//!
//! Life: it is fitted out (model, tools, queue) while it shows itself as `starting`; then its feeder takes deliveries
//! and due executions, as many as it has credits, and the shell hands each to an instance; an instance that fails is
//! restarted within the agent's budget, and when that is spent the agent is parked as `failed` and its messages wait.
//! Instances start
//! when there is work for them. An agent without work for long ends for the time being, and sleeps: `porter` wakes it.
//! A changed definition is fitted out beside the old one and takes over when it is ready. Nothing here waits for a model, a tool, the
//! store or the bus: such things are done by named tasks, which report back by message.

mod actor;
mod facts;
mod fate;
mod feeder;
mod fitting;
mod handle;
mod here;
mod instance;
mod message;
mod parcel;
mod release;
mod shell;
mod staff;
#[cfg(test)]
mod tests;
mod vital;

pub use actor::agent;
pub use facts::Facts;
pub(crate) use facts::view;
pub(crate) use fitting::queue_of;
pub use handle::AgentHandle;
pub use message::Message;
pub use parcel::Parcel;
use parcel::Tenure;
pub(crate) use vital::Care;

/// The name and path prefix under which agents stand in the tree.
pub const BRANCH: &str = "agents";
