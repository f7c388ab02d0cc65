//! An execution: one agent handling one event, as a journaled sequence of calls.
//!
//! Life: it is claimed under an epoch; its behaviour makes calls through [`Context`], each written down before and after
//! (`intended`, `settled`); it ends in one transaction with everything that it leaves behind. After a crash the same
//! attempt runs again from the start, and the calls that had settled answer from the journal instead of being made.

mod agents;
mod budget;
pub(crate) mod clarify;
mod collaborating;
mod context;
mod converse;
mod entry;
mod hash;
mod journal;
#[cfg(test)]
mod journal_tests;
mod light;
mod mind;
mod model;
mod persist;
mod progress;
mod reading;
mod repeats;
mod run;
mod size;
mod step;
mod summary;
mod tools;
mod trouble;
mod view;
mod window;

pub use context::Context;
pub use converse::Converse;
pub(crate) use converse::question;
pub(crate) use persist::persist;
pub(crate) use reading::{READ_OUTPUT, as_text};
pub use run::{Assignment, Behaviour, Ending, Kit, run};
pub use trouble::Trouble;
