//! What an operator or a test may choose.

use std::{sync::Arc, time::Duration};

use greenroom_contract::{Clock, clock::to_millis};

/// How the store uses its database. The defaults suit production.
#[derive(Clone)]
pub struct Options {
    /// The schema in which the tables are, made if it is missing: lower-case letters, digits and `_`.
    pub schema: String,
    /// Whose clock the store goes by.
    pub time: Time,
    /// How many connections write. Writes about one execution always go over the same one. What waits for a connection is
    /// committed together, so that fewer of them cost the database less for the same work; each more shortens the wait for
    /// one that is busy.
    pub writers: usize,
    /// How many connections read at most.
    pub readers: usize,
    /// How long to wait for a connection before the store counts as unavailable.
    pub acquire: Duration,
    /// How long one statement may take.
    pub statement: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            schema: "greenroom".to_owned(),
            time: Time::Database,
            writers: 2,
            readers: 4,
            acquire: Duration::from_secs(3),
            statement: Duration::from_secs(5),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("schema", &self.schema).field("writers", &self.writers).finish_non_exhaustive()
    }
}

/// Whose clock the store goes by: every time that it writes and every lease that it judges.
#[derive(Clone)]
pub enum Time {
    /// The database's, so that nodes whose clocks differ agree.
    Database,
    /// This one, for tests that move time.
    Given(Arc<dyn Clock>),
}

/// The time that a statement is given as its first parameter: `None` is the database's own.
pub(super) type Now = Option<i64>;

impl Time {
    pub(super) fn now(&self) -> Now {
        match self {
            Self::Database => None,
            Self::Given(clock) => Some(to_millis(clock.now())),
        }
    }
}
