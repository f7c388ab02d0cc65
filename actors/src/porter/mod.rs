//! The porter: stands at the queues of all agents of the node that sleep, and has those roused for whom something comes.
//!
//! An agent that sleeps has no actor and no task of its own. Who sleeps is written in the [`Dormitory`], by the agent when
//! its supervisor knows of it; the porter, one service of the node, reads it there, takes the next event for each of them
//! into the inbox, and calls. Work that is due in the store without an event (a retry) is the scout's business.

mod dormitory;
mod run;

pub use dormitory::Dormitory;
pub use run::porter;
