//! The supervision tree as a shared table: written by supervisors and shells, read without messaging any actor.
//!
//! * [`place`](Place) is what is known of one actor over all its generations; [`Table`] keeps them by path.
//! * Every change of a place that a person would want to hear of is also a [`Change`] in a bounded ring, so that readers
//!   follow the tree without asking for all of it again; who is too slow for the ring is told so ([`Changes::Gap`]).
//! * [`Feed`] holds in the same way what was heard of other nodes' trees.
//! * Executions are in the table and not in the ring: they come and go thousands of times a second and would push
//!   everything else out of it. The same holds for signs of life, depths and sums.

mod branch;
mod face;
mod feed;
mod json;
mod moment;
mod place;
mod ring;
mod table;
#[cfg(test)]
mod tests;

pub use branch::assemble;
pub use face::change_of;
pub use feed::{Feed, Heard, News, Since};
pub use place::{Budget, NodeTree, PastFailure, Path, Ping, Place, Tree, Work};
pub use ring::{Change, ChangeKind, Changes, RING};
pub use table::Table;
