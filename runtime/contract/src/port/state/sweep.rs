//! What is deleted when it is old.

use jiff::Timestamp;

/// For how long a store knows what it has deleted, and counts what was spent, however short its memory is otherwise: a
/// duplicate of an event that comes within this time after its execution was deleted is still a duplicate, and a year's
/// spending can be asked for.
pub const LONG_MEMORY: std::time::Duration = std::time::Duration::from_hours(366 * 24);

/// What one call of [`State::sweep`](super::State::sweep) deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Executions, each with its journal.
    pub executions: u64,
    /// Dead letters that were sent again.
    pub dead_letters: u64,
    /// Versions of agents' definitions.
    pub versions: u64,
    /// Rows that nobody asks for after [`LONG_MEMORY`]: spending, and the names of executions that were deleted. And the
    /// leases of nodes that never came back, and firings of schedules.
    pub others: u64,
    /// Bytes that went back to the file system, where the store gives any back itself.
    pub freed_bytes: u64,
    /// Whether there may be more that can be deleted now.
    pub more: bool,
}

impl Swept {
    /// Whether nothing was deleted.
    pub fn is_nothing(&self) -> bool {
        self.executions + self.dead_letters + self.versions + self.others == 0
    }
}

impl std::ops::AddAssign for Swept {
    fn add_assign(&mut self, other: Self) {
        self.executions += other.executions;
        self.dead_letters += other.dead_letters;
        self.versions += other.versions;
        self.others += other.others;
        self.freed_bytes += other.freed_bytes;
        self.more = other.more;
    }
}

/// The moment before which what is kept for [`LONG_MEMORY`] goes. Never later than `before`.
pub fn long_ago(now: Timestamp, before: Timestamp) -> Timestamp {
    now.checked_sub(LONG_MEMORY).unwrap_or(Timestamp::MIN).min(before)
}
