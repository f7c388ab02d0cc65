//! Before and after the end of a call that did not end with its callee.

use greenroom_contract::{
    BoxFuture,
    call::CallResult,
    port::state::{Calls, Result, StaleCall},
};

use super::{state::Dangerous, trigger::Deed};

impl Calls for Dangerous {
    fn stale_calls(&self, limit: u32) -> BoxFuture<'_, Result<Vec<StaleCall>>> {
        self.inner.stale_calls(limit)
    }

    fn end_call(&self, result: CallResult) -> BoxFuture<'_, Result<bool>> {
        let call = result.execution_id.to_string();
        Box::pin(self.between(Deed::Answer, call, self.inner.end_call(result)))
    }
}
