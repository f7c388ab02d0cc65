//! Calls between agents are the durable store's alone.

use greenroom_contract::{
    BoxFuture,
    call::CallResult,
    port::state::{Calls, Result, StaleCall},
};

use super::tiered::Tiered;

impl Calls for Tiered {
    fn stale_calls(&self, limit: u32) -> BoxFuture<'_, Result<Vec<StaleCall>>> {
        self.durable.stale_calls(limit)
    }

    fn end_call(&self, result: CallResult) -> BoxFuture<'_, Result<bool>> {
        self.durable.end_call(result)
    }
}
