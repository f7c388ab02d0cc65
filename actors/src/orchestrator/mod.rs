//! The orchestrator: the registry of all agents, and the machine as its doors see it.
//!
//! Life: [`Orchestrator::apply`] makes what runs agree with what the folder says, at start and after each change (a
//! start is a reload from nothing); the doors ask it through `port::operator`. It is no actor: it keeps a small table
//! behind a lock and talks to agents by their handles.

mod answer;
mod cluster;
mod door;
mod plans;
mod reconcile;
mod registry;
mod rounds;
mod schedules;
mod who;

pub use reconcile::NameTaken;
pub use registry::Orchestrator;
pub use rounds::rounds;
pub use who::Who;
