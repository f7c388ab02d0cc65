//! The token by which a delivery is settled.

use std::sync::Arc;

use greenroom_contract::{
    BoxFuture, TraceId,
    port::bus::{Error, Settle, Verdict},
};

use super::hold::Hold;
use crate::finish::to_the_end;

/// Holds a message. Dropped without a verdict, its [`Hold`] puts the message back.
pub(super) struct Token {
    pub(super) hold: Hold,
    pub(super) trace: Option<TraceId>,
}

impl Settle for Token {
    fn settle(self: Box<Self>, verdict: Verdict) -> BoxFuture<'static, Result<(), Error>> {
        let Self { hold, trace } = *self;
        let core = Arc::clone(hold.core());
        // A verdict that cannot be written drops the hold: the message comes again, as the error says.
        to_the_end("bus-settle", async move {
            match verdict {
                Verdict::Accept => core.accept(hold).await,
                Verdict::Reject(reason) => core.reject(hold, reason, trace).await,
                Verdict::Dead(reason) => core.bury(hold, reason, trace).await,
            }
        })
    }
}
