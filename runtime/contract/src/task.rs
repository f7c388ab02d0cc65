//! The one place where tasks are spawned: every task has a name, and inherits the span (with its trace id) of its maker.

use std::future::Future;

use tokio::{runtime::Handle, task::JoinHandle};
use tracing::Instrument;

/// Spawns a named task in the caller's span. The caller keeps the handle and decides what its end means;
/// a task that is meant to outlive its maker is handed to a supervisor instead.
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    // Said here and not in a future round the task's: that would hold the task's twice, before and while it runs.
    tracing::trace!(task.name = name, "task started");
    #[expect(clippy::disallowed_methods, reason = "this is the named spawner that the ban points to")]
    tokio::spawn(future.in_current_span())
}

/// Like [`spawn`], on the given runtime: for work that may hold its thread, away from those who must answer.
pub fn spawn_on<F>(runtime: &Handle, name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tracing::trace!(task.name = name, "task started");
    runtime.spawn(future.in_current_span())
}

/// Like [`spawn`], and aborts the task when the guard is dropped.
pub fn spawn_scoped<F>(name: &'static str, future: F) -> Scoped
where
    F: Future<Output = ()> + Send + 'static,
{
    Scoped(spawn(name, future))
}

/// Aborts its task when dropped.
#[derive(Debug)]
pub struct Scoped(JoinHandle<()>);

impl Drop for Scoped {
    fn drop(&mut self) {
        self.0.abort();
    }
}
