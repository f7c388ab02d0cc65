//! The lifecycle of agents and their instances as events on the bus, `cluster.lifecycle.*`, for whoever subscribes.
//!
//! The service reads the tree's changes; nobody reports to it and it holds nobody up. It tells what happens while the
//! node is up: it begins with the present, not with the past, and falls silent when the node stops. If it cannot keep
//! up, because the bus is away or too much happens, it says once that something was missed (`cluster.lifecycle.gap`).
//!
//! **No loops.** Being woken is not news: `idle` ↔ `running` tells nothing. What happens to an agent that itself listens
//! to any of these topics is not told on the bus (the tree and the log have it): otherwise one that fails at such an
//! event, alone or in a ring of watchers, would wake itself for ever.

mod run;
mod step;
#[cfg(test)]
mod tests;

pub use run::{Watchers, lifecycle};
pub use step::{GAP, News};
