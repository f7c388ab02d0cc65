//! The sorter: where there are too many agents for a queue each, takes what comes in the queues that they share into the
//! inbox, for each agent that it is meant for, and has the agents look.
//!
//! * `plan` says who shares, which queue is whose, and for whom a message in it is;
//! * `sorting` is the plan as the node's other rooms see it: it changes with the folder;
//! * `run` is the service: it declares the shared queues, keeps a desk at each, and clears the queues of the other kind;
//! * `desk` stands at one shared queue, `intake` takes one delivery in, `clear` empties a queue that nothing leads to any more.
//!
//! Agents that share a queue take their work from the store only. Nobody's credits are asked for before a delivery is taken
//! in, so that an agent that is busy, paused or parked is in nobody's way: what waits for it waits in the inbox.

mod clear;
mod desk;
mod intake;
mod plan;
mod run;
mod sorting;
#[cfg(test)]
mod tests;

pub(crate) use plan::{Plan, shard_of};
pub(crate) use run::declare_shared;
pub use run::sorter;
pub use sorting::Sorting;
