//! Giving executions back to the store, so that somebody else takes them up where they are.

use std::sync::Arc;

use greenroom_contract::{
    execution::Fence,
    port::state::{Error, Release},
};

use crate::{execution::persist, ports::Ports};

/// Gives one back. One that has ended or moved on meanwhile is left as it is.
pub(super) async fn give_back(ports: Arc<Ports>, fence: Fence, why: Release) {
    match persist("release", || ports.state.release(fence, why)).await {
        Ok(()) => tracing::info!(execution_id = %fence.execution, ?why, "An unfinished execution is given back."),
        Err(Error::Fenced) => {}
        Err(error) => {
            tracing::error!(execution_id = %fence.execution, %error, "An unfinished execution could not be given back.");
        }
    }
}
