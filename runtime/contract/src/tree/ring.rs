//! The newest changes, numbered and bounded.

use std::{collections::VecDeque, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Path, Place};
use crate::status::AgentStatus;

/// How many changes are kept. A reader that is further behind takes a snapshot instead.
pub const RING: usize = 4096;

/// What happened to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is there, or its next generation is.
    Entered,
    /// Its status is another.
    Status,
    /// Its supervisor counts a restart and will start it again.
    Restarted,
    /// It has one more failure to remember.
    Failed,
    /// It was killed because it did not stop.
    Killed,
    /// A task of it did not even end when it was killed: fenced and left behind.
    Quarantined,
    /// Something else that is seldom: budget, late results, put to sleep or woken.
    Updated,
    /// It has ended on purpose, and stays visible for a while.
    Left,
    /// It is not visible any more.
    Gone,
}

impl ChangeKind {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Entered => "entered",
            Self::Status => "status",
            Self::Restarted => "restarted",
            Self::Failed => "failed",
            Self::Killed => "killed",
            Self::Quarantined => "quarantined",
            Self::Updated => "updated",
            Self::Left => "left",
            Self::Gone => "gone",
        }
    }
}

/// A change of one place. Putting `place` where the path is, for each change in order, leads from a snapshot to the next.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Change {
    /// Its number: one more than that of the change before. Numbers go on rising over a restart of the node.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: ChangeKind,
    /// Whose.
    pub path: Path,
    /// The status before, where it is another now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<AgentStatus>,
    /// The place as it was then, without its children.
    pub place: Arc<Place>,
}

/// What happened since.
#[derive(Debug, Clone)]
pub enum Changes {
    /// These, in order; empty if nothing did.
    Some(Vec<Change>),
    /// More than is kept, or the number is not one of this table's: take a snapshot.
    Gap,
}

/// The ring itself.
#[derive(Debug)]
pub(super) struct Ring {
    kept: VecDeque<Change>,
    newest: u64,
}

impl Ring {
    /// Numbers begin at the microsecond of the start: a number from an earlier life is then older than all of this one,
    /// and is answered with a gap instead of with changes that do not follow on it.
    pub(super) fn starting_at(now: Timestamp) -> Self {
        Self { kept: VecDeque::new(), newest: now.as_microsecond().unsigned_abs() }
    }

    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    pub(super) fn push(&mut self, at: Timestamp, kind: ChangeKind, was: Option<AgentStatus>, place: Arc<Place>) {
        if self.kept.len() == RING {
            self.kept.pop_front();
        }
        self.newest += 1;
        let path = place.id.clone();
        self.kept.push_back(Change { seq: self.newest, at, kind, path, was, place });
    }

    pub(super) fn since(&self, seq: u64, at_most: usize) -> Changes {
        let behind = self.newest.checked_sub(seq).and_then(|behind| usize::try_from(behind).ok());
        match behind.and_then(|behind| self.kept.len().checked_sub(behind)) {
            Some(first) => Changes::Some(self.kept.range(first..).take(at_most).cloned().collect()),
            None => Changes::Gap,
        }
    }
}
