//! Limits and breakers in the supervision tree.

use greenroom_contract::{
    execution::Failure,
    port::llm::Error,
    status::AgentStatus,
    tree::{Place, Table},
};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The branch.
pub(super) const BRANCH: &str = "providers";

/// A place in the tree; nowhere, in tests of other things.
#[derive(Debug, Default)]
pub(super) struct Board {
    place: Option<(Table, String)>,
    generation: u32,
}

impl Drop for Board {
    /// Nobody uses it any more. Its next generation may be there already.
    fn drop(&mut self) {
        if let Some((table, path)) = &self.place
            && table.place(path).is_some_and(|place| place.generation == self.generation)
        {
            table.bury(path);
        }
    }
}

impl Board {
    /// Enters a place under the branch, which is entered with it.
    pub(super) fn enter(table: Option<&Table>, path: &[&str], kind: &str) -> Self {
        let Some(table) = table else { return Self::default() };
        if table.place(BRANCH).is_none() {
            table.enter(BRANCH, "providers", AgentStatus::Running);
        }
        let path = path.iter().fold(BRANCH.to_owned(), |path, name| format!("{path}/{}", name.replace('/', ":")));
        table.enter(&path, kind, AgentStatus::Running);
        let generation = table.place(&path).map_or(0, |place| place.generation);
        Self { place: Some((table.clone(), path)), generation }
    }

    /// Nothing holds calls back.
    pub(super) fn well(&self) {
        self.update(|place| {
            place.status = AgentStatus::Running;
            place.until = None;
        });
    }

    /// Calls are held back until then, for this reason.
    pub(super) fn held(&self, status: AgentStatus, until: Instant, cause: &Error) {
        let Some((table, path)) = &self.place else { return };
        table.failed(path, Failure::new(cause.code(), cause.to_string()), None);
        table.update(path, |place| {
            place.status = status;
            place.until = Some(time_of_day(until));
        });
    }

    /// The pause is over and the next call is a trial.
    pub(super) fn on_trial(&self) {
        self.update(|place| {
            if place.status == AgentStatus::Unavailable {
                place.status = AgentStatus::Restarting;
                place.until = None;
            }
        });
    }

    /// So many callers wait.
    pub(super) fn waiting(&self, callers: usize, room: usize) {
        if let Some((table, path)) = &self.place {
            table.inbox(path, callers as u64, Some(room as u64), None);
        }
    }

    fn update(&self, change: impl FnOnce(&mut Place)) {
        if let Some((table, path)) = &self.place {
            table.update(path, change);
        }
    }
}

fn time_of_day(until: Instant) -> Timestamp {
    let (left, now) = (until.saturating_duration_since(Instant::now()), Timestamp::now());
    now.saturating_add(SignedDuration::try_from(left).unwrap_or(SignedDuration::MAX)).unwrap_or(now)
}
