//! `greenroom selftest --chaos`: a user's own proof, on their own servers, that nothing is lost and nothing paid twice.
//!
//! It starts nodes of this very executable with agents of its own, gives them work, kills nodes with `kill -9` at random,
//! and then compares what the nodes tell with what was counted outside of them.
//!
//! * `run` is the whole of it as a list; `options` what was asked for, `dice` chance by a seed;
//! * `cast` the agents, `model` and `tool` whom they ask, each with a ledger;
//! * `ground` what the nodes stand on, `fleet` the nodes, `load` the work, `chaos` the kills;
//! * `judge` what became of the work, `report` how it is told.

mod cast;
mod chaos;
mod dice;
mod fleet;
mod ground;
mod judge;
mod load;
mod model;
mod options;
mod report;
mod run;
mod tool;

pub(super) use options::Selftest;
pub(super) use run::selftest;
pub(super) use tool::serve as serve_tool;
