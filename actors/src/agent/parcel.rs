//! A claimed execution on its way from the feeder to the shell, and the time for which a shell may be given any.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use greenroom_contract::{
    ExecutionId,
    execution::{Claimed, Fence},
    port::state::Release,
    task,
};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::release::give_back;
use crate::ports::Ports;

/// One generation of a shell: from its start until the next begins. A shell that was killed and still holds its thread
/// knows nothing of its end; its feeder and what lies unopened in its mailbox are taken from it all the same.
#[derive(Default)]
pub(super) struct Tenure {
    over: CancellationToken,
    unopened: Mutex<HashMap<ExecutionId, Fence>>,
}

impl Tenure {
    /// A token that ends with it.
    pub(super) fn token(&self) -> CancellationToken {
        self.over.child_token()
    }

    /// Ends it, and gives back what its shell never took up.
    pub(super) fn end(&self, ports: &Arc<Ports>) {
        let unopened: Vec<Fence> = {
            let mut unopened = self.unopened();
            self.over.cancel();
            unopened.drain().map(|(_, fence)| fence).collect()
        };
        for fence in unopened {
            task::spawn("give-back", give_back(Arc::clone(ports), fence, Release::Unfinished));
        }
    }

    /// An execution was handed to an instance, which sees to it from here, or is given back.
    pub(super) fn begun(&self, execution: ExecutionId) {
        self.unopened().remove(&execution);
    }

    fn unopened(&self) -> MutexGuard<'_, HashMap<ExecutionId, Fence>> {
        self.unopened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A claim and the credit that it holds. One that nobody opens, because the shell ended with it in its mailbox, is given
/// back: else it would stay claimed by a node that does not run it.
pub struct Parcel {
    ports: Arc<Ports>,
    content: Option<(Box<Claimed>, OwnedSemaphorePermit)>,
}

impl Parcel {
    /// `None` when the time of its shell is over: then it was given back.
    pub(super) fn new(
        ports: &Arc<Ports>,
        tenure: &Tenure,
        claimed: Box<Claimed>,
        credit: OwnedSemaphorePermit,
    ) -> Option<Self> {
        let fence = claimed.fence;
        let parcel = Self { ports: Arc::clone(ports), content: Some((claimed, credit)) };
        let mut unopened = tenure.unopened();
        if tenure.over.is_cancelled() {
            return None;
        }
        unopened.insert(fence.execution, fence);
        Some(parcel)
    }

    /// What is in it; `None` never, as only this takes it out.
    pub(super) fn open(mut self) -> Option<(Box<Claimed>, OwnedSemaphorePermit)> {
        self.content.take()
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        let Some((claimed, _credit)) = self.content.take() else { return };
        if tokio::runtime::Handle::try_current().is_ok() {
            let (ports, fence) = (Arc::clone(&self.ports), claimed.fence);
            task::spawn("give-back", give_back(ports, fence, Release::Unfinished));
        }
    }
}
