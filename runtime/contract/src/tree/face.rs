//! What of a place is worth telling when it changes.

use jiff::Timestamp;

use super::{Budget, ChangeKind, Place};
use crate::status::AgentStatus;

/// The kind that is told to nobody: executions come and go thousands of times a second.
pub(super) const EXECUTION: &str = "execution";

#[derive(PartialEq)]
pub(super) struct Face {
    pub(super) status: AgentStatus,
    pub(super) since: Timestamp,
    generation: u32,
    restarts: u32,
    kills: u32,
    quarantined: u32,
    late_results: u32,
    passivated: bool,
    until: Option<Timestamp>,
    budget: Option<Budget>,
    failures: usize,
    last_failure: Option<Timestamp>,
}

impl Face {
    pub(super) fn of(place: &Place) -> Self {
        Self {
            status: place.status,
            since: place.since,
            generation: place.generation,
            restarts: place.restarts,
            kills: place.kills,
            quarantined: place.quarantined,
            late_results: place.late_results,
            passivated: place.passivated,
            until: place.until,
            budget: place.budget,
            failures: place.failures.len(),
            last_failure: place.failures.front().map(|past| past.at),
        }
    }

    /// The most telling of the differences.
    pub(super) fn differs_from(&self, before: &Self) -> ChangeKind {
        match () {
            () if self.restarts > before.restarts => ChangeKind::Restarted,
            () if self.kills > before.kills => ChangeKind::Killed,
            () if self.quarantined > before.quarantined => ChangeKind::Quarantined,
            () if (self.failures, self.last_failure) != (before.failures, before.last_failure) => ChangeKind::Failed,
            () if self.generation > before.generation => ChangeKind::Entered,
            () if self.status != before.status => ChangeKind::Status,
            () => ChangeKind::Updated,
        }
    }
}

/// What is worth telling of a place that was heard of anew, and its status before, where it is another now. `None` if nothing
/// is: signs of life, depths and sums are no changes, and executions are told to nobody.
pub fn change_of(before: Option<&Place>, after: &Place) -> Option<(ChangeKind, Option<AgentStatus>)> {
    if after.kind == EXECUTION {
        return None;
    }
    let Some(before) = before else { return Some((ChangeKind::Entered, None)) };
    let (was, is) = (Face::of(before), Face::of(after));
    (was != is).then(|| (is.differs_from(&was), (was.status != is.status).then_some(was.status)))
}
