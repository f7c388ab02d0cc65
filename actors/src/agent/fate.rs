//! What was decided about an execution from outside, shared by its instance and the watcher of its task.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use greenroom_contract::{ExecutionId, execution::Failure, status::AgentStatus, tree::Table};
use tokio::task::JoinError;

use crate::{
    execution::Ending,
    fault::panic_message,
    watchdog::{Lost, Watchdog},
};

/// Why it was ended, if it was, and its quarantine, if it came to that.
#[derive(Default)]
pub(super) struct Fate {
    doom: OnceLock<Failure>,
    /// It was asked to stop between two calls, to go on later.
    adjourned: AtomicBool,
    quarantine: Mutex<Option<Quarantine>>,
}

/// A thread that is lost to a fenced task, and the task's place in the tree; both until the task ends after all.
pub(super) struct Quarantine {
    table: Table,
    agent: String,
    path: String,
    _thread: Lost,
}

impl Fate {
    /// It is to end for this reason; the first reason counts.
    pub(super) fn doom(&self, why: Failure) {
        self.doom.set(why).ok();
    }

    /// It is to stop between two calls; its work goes on later, at this point.
    pub(super) fn adjourn(&self) {
        self.adjourned.store(true, Ordering::Release);
    }

    pub(super) fn quarantine(&self, quarantine: Quarantine) {
        *self.quarantine.lock().unwrap_or_else(PoisonError::into_inner) = Some(quarantine);
    }

    /// The end of the quarantine, for the watcher; `None` if there was none.
    pub(super) fn release(&self) -> Option<Quarantine> {
        self.quarantine.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What a task's end means, in the light of what was decided about it.
    pub(super) fn judge(&self, ended: Result<Ending, JoinError>) -> Ending {
        match (ended, self.doom.get()) {
            (Ok(Ending::Cancelled), Some(why)) => Ending::Crashed(why.clone()),
            (Ok(Ending::Cancelled), None) if self.adjourned.load(Ordering::Acquire) => Ending::Cancelled,
            // An operator cancelled it, or its instance ended: others have said what follows.
            (Ok(Ending::Cancelled), None) => Ending::Fenced,
            (Ok(ending), _) => ending,
            (Err(error), _) if error.is_panic() => {
                let failure = Failure::new(crate::fault::PANICKED, panic_message(error));
                tracing::error!(error = %failure, "The execution's task panicked.");
                Ending::Crashed(failure)
            }
            (Err(_), Some(why)) => Ending::Crashed(why.clone()),
            (Err(_), None) => Ending::Fenced,
        }
    }
}

impl Quarantine {
    /// Takes the execution out of its instance's branch and shows it beside the instances, fenced.
    pub(super) fn begin(dog: &Watchdog, table: &Table, agent: &str, instance: &str, execution: ExecutionId) -> Self {
        let path = format!("{agent}/quarantined-{execution}");
        table.leave(&format!("{instance}/{execution}"));
        table.enter(&path, "quarantined", AgentStatus::Failed);
        table.update(agent, |place| place.quarantined += 1);
        Self { table: table.clone(), agent: agent.to_owned(), path, _thread: dog.lose_thread() }
    }

    /// The task has ended after all. A result that it brought is thrown away and counted.
    pub(super) fn end(self, ended: &Result<Ending, JoinError>) {
        let late = ended.is_ok();
        tracing::warn!(
            place = self.path,
            late_result = late,
            "A quarantined task has ended; its thread is free again."
        );
        self.table.update(&self.agent, |place| place.late_results += u32::from(late));
    }
}

impl Drop for Quarantine {
    fn drop(&mut self) {
        self.table.update(&self.agent, |place| place.quarantined = place.quarantined.saturating_sub(1));
        self.table.bury(&self.path);
    }
}

/// A fate that two can look at.
pub(super) type SharedFate = Arc<Fate>;

#[cfg(test)]
mod tests {
    use super::*;

    fn doomed() -> Fate {
        let fate = Fate::default();
        fate.doom(Failure::new("hung", "first"));
        fate.doom(Failure::new("cpu_bound", "second"));
        fate
    }

    #[test]
    fn who_was_ended_for_a_reason_crashed_by_that_reason_and_a_real_end_stands() {
        let crashed = doomed().judge(Ok(Ending::Cancelled));
        assert!(matches!(crashed, Ending::Crashed(failure) if failure.code == "hung"), "the first reason counts");
        assert_eq!(doomed().judge(Ok(Ending::Succeeded)), Ending::Succeeded, "it got through before it was ended");
        assert_eq!(Fate::default().judge(Ok(Ending::Cancelled)), Ending::Fenced);
        let adjourned = Fate::default();
        adjourned.adjourn();
        assert_eq!(adjourned.judge(Ok(Ending::Cancelled)), Ending::Cancelled, "it goes on later");
        assert_eq!(adjourned.judge(Ok(Ending::Succeeded)), Ending::Succeeded, "its last call was the last of all");
    }

    #[tokio::test]
    async fn an_abort_is_a_crash_only_with_a_reason() {
        let aborted = || async {
            let task = greenroom_contract::task::spawn("test", std::future::pending::<Ending>());
            task.abort();
            task.await
        };
        assert!(matches!(doomed().judge(aborted().await), Ending::Crashed(failure) if failure.code == "hung"));
        assert_eq!(Fate::default().judge(aborted().await), Ending::Fenced);
    }
}
