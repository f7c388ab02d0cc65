//! Before and after a person is answered.

use std::sync::Arc;

use greenroom_contract::{
    BoxFuture,
    port::reply::{Error, Replies, Reply},
};

use super::trigger::{Deed, Trigger};

/// Ways back that the node may die beside.
pub(super) struct Dangerous {
    pub(super) inner: Arc<dyn Replies>,
    pub(super) trigger: Arc<Trigger>,
}

impl Replies for Dangerous {
    fn send(&self, reply: Reply) -> BoxFuture<'_, Result<(), Error>> {
        let kind = reply.to.kind();
        Box::pin(async move {
            self.trigger.before(Deed::Reply, kind);
            self.inner.send(reply).await?;
            self.trigger.after(Deed::Reply, kind);
            Ok(())
        })
    }
}
