//! Where the answers go.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use greenroom_contract::{
    BoxFuture,
    port::reply::{Error, Replies, Reply},
};

/// A chat that takes everything, as slowly as it is told to.
#[derive(Debug, Default)]
pub struct Chat(Mutex<(Duration, Vec<String>)>);

impl Chat {
    /// From now on each answer takes so long.
    pub fn takes(&self, each: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = each;
    }

    /// What was said so far, in order.
    pub fn said(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}

impl Replies for Chat {
    fn send(&self, reply: Reply) -> BoxFuture<'_, Result<(), Error>> {
        let each = self.0.lock().unwrap_or_else(PoisonError::into_inner).0;
        Box::pin(async move {
            tokio::time::sleep(each).await;
            self.0.lock().unwrap_or_else(PoisonError::into_inner).1.push(reply.text);
            Ok(())
        })
    }
}
