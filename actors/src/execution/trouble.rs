//! Why an attempt cannot go on.

use greenroom_contract::{execution::Failure, port::state::Error};

/// Why an attempt cannot go on.
#[derive(Debug, Clone, PartialEq)]
pub enum Trouble {
    /// It failed.
    Failed {
        /// Why.
        failure: Failure,
        /// Whether another attempt cannot mend it.
        lasting: bool,
    },
    /// The execution belongs to somebody else now: stop, write nothing.
    Fenced,
    /// It was asked to end before its work was done: stop, write nothing of an end; whoever asked says what follows.
    Cancelled,
    /// It has asked people or other agents something: stop; it goes on from here when they have answered.
    Waiting,
}

impl Trouble {
    /// A failure that another attempt may mend.
    pub fn passing(code: &str, message: impl Into<String>) -> Self {
        Self::Failed { failure: Failure::new(code, message), lasting: false }
    }

    /// A failure that another attempt cannot mend.
    pub fn lasting(code: &str, message: impl Into<String>) -> Self {
        Self::Failed { failure: Failure::new(code, message), lasting: true }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Fenced => Self::Fenced,
            Error::Conflict { what } => Self::lasting("journal_mismatch", what),
            other => Self::passing("store", other.to_string()),
        }
    }
}
