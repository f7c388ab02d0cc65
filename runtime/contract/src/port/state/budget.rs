//! Money that is set aside for a call before the call is made.

use jiff::Timestamp;

use crate::{execution::Fence, money::MicroUsd};

/// A call about to be made, and the most that it can cost.
#[derive(Debug, Clone, Copy)]
pub struct Reservation {
    /// By whom.
    pub fence: Fence,
    /// The step's attempt. What is set aside counts until that step is settled or the execution is over, and then its
    /// price stands in the account.
    pub attempt: u32,
    /// The step's position.
    pub seq: u32,
    /// The most that it can cost.
    pub amount: MicroUsd,
    /// The beginning of the budget's day; the beginning of a quarter of an hour.
    pub since: Timestamp,
    /// What the agent may spend since then.
    pub most: MicroUsd,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// It is set aside. An execution has one reservation: this one took the place of its last.
    Granted,
    /// It does not fit; nothing changed.
    Refused {
        /// What the agent spent since the day began.
        spent: MicroUsd,
        /// What is set aside for other executions of the agent.
        reserved: MicroUsd,
    },
}

impl Reserved {
    /// The decision, the same for every store.
    pub fn decide(spent: MicroUsd, reserved: MicroUsd, amount: MicroUsd, most: MicroUsd) -> Self {
        match spent + reserved + amount <= most {
            true => Self::Granted,
            false => Self::Refused { spent, reserved },
        }
    }
}
