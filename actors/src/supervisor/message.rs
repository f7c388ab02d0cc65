//! The inbox of a supervisor.

use std::{sync::Arc, time::Duration};

use greenroom_contract::{BoxFuture, execution::Failure};
use ractor::ActorCell;
use tokio::sync::oneshot;

use super::policy::Policy;

/// Starts a generation of a child under the given supervisor. It must be quick: slow beginnings belong to the child,
/// which shows itself as `starting` meanwhile.
pub type StartChild = Arc<dyn Fn(ActorCell, u32) -> BoxFuture<'static, Result<ActorCell, Failure>> + Send + Sync>;
/// Asks a child to stop within a time; [`Duration::MAX`] asks it to end in its own time. It must not wait.
pub type StopChild = Arc<dyn Fn(&ActorCell, Duration) + Send + Sync>;

/// Told that a child sleeps now and can be roused. It must not wait.
pub type Rested = Arc<dyn Fn() + Send + Sync>;

/// A child and how to look after it.
#[derive(Clone)]
pub struct ChildSpec {
    /// Its name, unique under its supervisor; its path in the tree is the supervisor's with this appended.
    pub name: String,
    /// Its kind in the tree.
    pub kind: &'static str,
    /// Its rules.
    pub policy: Policy,
    /// How it starts.
    pub start: StartChild,
    /// How it is asked to stop.
    pub stop: StopChild,
    /// Who hears of it when it falls asleep; `None` for those that never do.
    pub rested: Option<Rested>,
}

/// What a supervisor is asked.
pub enum Message {
    /// From the boot or the orchestrator: keep this child alive.
    Add(ChildSpec),
    /// From the orchestrator: stop and forget this child.
    Remove(String),
    /// From the orchestrator: let this child end in its own time, then forget it.
    Drain(String),
    /// From a child's address or the porter: there is work for this child, should it sleep.
    Rouse(String),
    /// From an operator: start this child afresh.
    Refresh(String),
    /// From the node's rounds: this child does not answer, end it.
    Kill(String),
    /// From itself: a backoff, or the rest of a parked child, is over.
    Due {
        /// Whose.
        child: String,
        /// Which generation was waiting.
        generation: u32,
    },
    /// From itself: a child had its time to stop.
    Overdue {
        /// Whose.
        child: String,
        /// Which generation.
        generation: u32,
    },
    /// From itself: a child that was killed had its time to be gone.
    Lost {
        /// Whose.
        child: String,
        /// Which generation.
        generation: u32,
    },
    /// From its own supervisor: stop everything, then end.
    Stop,
    /// From the boot: stop everything; answered when all are down.
    StopAll(oneshot::Sender<()>),
}
