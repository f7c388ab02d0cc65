//! Where executions run: a runtime of their own, whose threads an execution may hold without being in anybody's way.

use std::thread::available_parallelism;

use tokio::runtime::{Builder, Handle, Runtime};

/// So that one event whose execution spins, and may be tried three times, does not cost half of the threads.
const FEWEST_WORKERS: usize = 8;

/// The runtime of executions. Dropping it waits for nobody: a thread that is never given back ends with the process.
pub(super) struct Stage {
    runtime: Option<Runtime>,
    handle: Handle,
    workers: usize,
}

impl Stage {
    pub(super) fn new() -> std::io::Result<Self> {
        let workers = available_parallelism().map_or(FEWEST_WORKERS, |cores| cores.get().max(FEWEST_WORKERS));
        let runtime =
            Builder::new_multi_thread().worker_threads(workers).enable_all().thread_name("execution").build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime), workers })
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// How many threads it has.
    pub(super) fn workers(&self) -> usize {
        self.workers
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
