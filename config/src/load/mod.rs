//! Reading agents' files: what each means, or every place where it is wrong.
//!
//! One parser (`tree`) gives a tree in which every key and value knows its place. `shape` compares that tree with the
//! JSON Schema, so that misspelt keys and wrong kinds are found all at once; only then is it deserialised, and `rules`
//! (with `tools`) checks what no schema can say. `folder` finds the files and remembers what it has read.

mod clarifications;
mod collaboration;
mod cron;
mod definition;
mod folder;
mod problem;
mod providers;
mod rules;
mod scalar;
mod shape;
mod suggest;
mod tools;
mod tree;

pub use cron::parser as cron_parser;
pub use definition::{Definition, Loaded, parse};
pub(crate) use folder::Folder;
pub use folder::{LoadError, load};
pub use problem::{Problem, Refused};
pub use providers::provider_rules;
pub(crate) use suggest::closest;
