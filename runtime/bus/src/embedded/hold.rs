//! A message that is out.

use std::sync::Arc;

use super::{
    core::Core,
    outlet::Credit,
    queue::Queue,
    shelf::{Facts, Place},
};

/// A message that is out. Dropping it unsettled puts the message back where it stood; it is ready again at once.
pub(super) struct Hold {
    pub(super) core: Arc<Core>,
    pub(super) queue: Arc<Queue>,
    pub(super) place: Place,
    pub(super) facts: Facts,
    /// The consumer's, which comes free with the message.
    pub(super) credit: Option<Arc<Credit>>,
    pub(super) settled: bool,
}

impl Hold {
    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(super) fn id(&self) -> i64 {
        self.place.id
    }

    pub(super) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    pub(super) fn facts(&self) -> Facts {
        self.facts
    }

    /// The message is off the queue.
    pub(super) fn settled(mut self) {
        self.settled = true;
    }

    /// The message goes back with one more rejection, which is on disk already.
    pub(super) fn rejected(mut self) {
        self.facts.rejections += 1;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // The credit comes first: whoever sees the message on the shelf may find this consumer free.
        if let Some(credit) = &self.credit {
            credit.give_back();
        }
        self.queue.returned(self.place, (!self.settled).then_some(self.facts));
        self.queue.serve(&self.core);
    }
}
