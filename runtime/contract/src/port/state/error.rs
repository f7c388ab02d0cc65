//! What can go wrong with the store.

/// A failed call to the store; each variant is a decision for the caller.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Another claim was made, or the execution has ended: stop working on it and write nothing more.
    #[error("the execution belongs to another claim now")]
    Fenced,
    /// There is no such row.
    #[error("{what} does not exist")]
    NotFound {
        /// What was looked for.
        what: String,
    },
    /// The same key was used for something else before.
    #[error("{what}")]
    Conflict {
        /// What clashes.
        what: String,
    },
    /// The store cannot be reached or cannot write. Nothing was promised; try again later.
    #[error("the store is unavailable: {reason}")]
    Unavailable {
        /// Why, for a person, with the place (file, address).
        reason: String,
    },
    /// What was read cannot be understood (a later version wrote it, or it is damaged).
    #[error("the store holds something unreadable: {what}")]
    Corrupt {
        /// What and where.
        what: String,
    },
}

/// The result of a call to the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;
