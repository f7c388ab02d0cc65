//! What nodes know of each other: presence, the cluster's tree, and verbs that reach an agent wherever it runs.
//!
//! Nodes meet in the store (leases, claims) and on the bus; there is no protocol of our own that decides anything. What
//! is here is told by broadcast, at most once, and nothing depends on hearing it: a missed word costs freshness.
//!
//! * `words` are the broadcasts; `told` decides what a node says next (only what changed), `heard` keeps what others
//!   said, and knows what it missed. Both are pure.
//! * [`Cluster`] is what doors ask: nodes, trees, agents of others, and commands with their acknowledgements.
//! * [`presence`] is the service that speaks and listens, [`scout`] the one that asks the store for lost work.

mod commands;
mod heard;
mod presence;
mod scout;
mod table;
#[cfg(test)]
mod tests;
mod told;
mod words;

pub use heard::{FORGOTTEN, UNHEARD};
pub use presence::presence;
pub use scout::scout;
pub use table::{Cluster, Face};
pub(crate) use table::{NODE_UNHEARD, view as node_view};
pub(crate) use words::Verb as NodeVerb;
