//! No door calls these.
#![expect(clippy::unimplemented, reason = "no door calls these")]

use greenroom_contract::{
    BoxFuture,
    call::CallResult,
    port::state::{Calls, Result, StaleCall},
};

use super::store::FakeState;

impl Calls for FakeState {
    fn stale_calls(&self, _: u32) -> BoxFuture<'_, Result<Vec<StaleCall>>> {
        unimplemented!()
    }

    fn end_call(&self, _: CallResult) -> BoxFuture<'_, Result<bool>> {
        unimplemented!()
    }
}
