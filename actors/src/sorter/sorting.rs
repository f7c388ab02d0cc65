//! The plan as others see it, and how far it has been carried out.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use greenroom_config::load::Definition;
use greenroom_contract::AgentId;
use tokio::{sync::watch, time::timeout};

use super::Plan;

/// Who shares queues on this node now. By default nobody ever does.
#[derive(Debug, Default)]
pub struct Sorting {
    /// Up to how many agents have a queue each; nothing where queues are no matter.
    own: Option<usize>,
    plan: watch::Sender<Arc<Plan>>,
    /// The generation that is carried out as far as this node goes: the shared queues that its agents need are bound, or
    /// those that they do not need any more are empty.
    done: watch::Sender<u64>,
}

impl Sorting {
    /// Up to so many agents have a queue each; if there are more, all share.
    pub fn above(own: usize) -> Self {
        Self { own: Some(own), ..Self::default() }
    }

    /// The folder says this now.
    pub(crate) fn take_up(&self, desired: &BTreeMap<AgentId, Definition>) {
        let Some(own) = self.own else { return };
        let before = self.plan();
        let plan = Plan::new(before.generation + 1, own, desired);
        if plan.shared != before.shared {
            let agents = desired.len();
            match plan.shared {
                true => tracing::info!(agents, own, "There are too many agents for a queue each: they share queues."),
                false => tracing::info!(agents, own, "Each agent has a queue of its own again."),
            }
        }
        self.plan.send_replace(Arc::new(plan));
    }

    /// Who shares now.
    pub(crate) fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan.borrow())
    }

    /// Whether the agent has no queue of its own now.
    pub(crate) fn shares(&self, agent: &AgentId) -> bool {
        self.own.is_some() && self.plan.borrow().shares(agent)
    }

    /// Resolves when that has changed.
    pub(crate) async fn turned(&self, agent: &AgentId, shares: bool) {
        if self.own.is_none() {
            return std::future::pending().await;
        }
        // Boxed, because there are thousands who wait for it.
        Box::pin(async {
            drop(self.plan.subscribe().wait_for(|plan| plan.shares(agent) != shares).await);
        })
        .await;
    }

    /// Waits until the plan of now is carried out on this node. Returns whether it is.
    pub(crate) async fn is_done_within(&self, patience: Duration) -> bool {
        if self.own.is_none() {
            return true;
        }
        let generation = self.plan.borrow().generation;
        let mut done = self.done.subscribe();
        let waited = timeout(patience, done.wait_for(|done| *done >= generation)).await;
        matches!(waited, Ok(Ok(_)))
    }

    pub(super) fn done(&self, generation: u64) {
        self.done.send_replace(generation);
    }

    pub(super) fn plans(&self) -> watch::Receiver<Arc<Plan>> {
        self.plan.subscribe()
    }
}
