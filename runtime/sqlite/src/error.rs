//! What can go wrong with the file, in words that an operator can act on.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// A failed call to the database.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened, read or written now. Nothing was committed.
    #[error("{}: {reason}", path.display())]
    Unavailable {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A statement was refused: a fault of the program, not of the machine.
    #[error("{}: {reason}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
}

impl Error {
    /// Sorts an error of SQLite's by what can be done about it.
    pub(crate) fn from_sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        let path = path.to_owned();
        let remedy = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => "the disk is full; free some space, work goes on by itself",
            Some(ErrorCode::ReadOnly) => "the file or its folder is read-only; make it writable",
            Some(ErrorCode::CannotOpen) => "cannot be opened; check that the folder exists and is writable",
            Some(ErrorCode::SystemIoFailure) => "the disk failed to read or write; check it and its free space",
            Some(ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => "permission denied",
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "is locked by another program",
            Some(ErrorCode::NotADatabase) => "is not a SQLite file; move it away",
            Some(ErrorCode::DatabaseCorrupt) => "is damaged; restore it from a backup",
            _ => return Self::Refused { path, reason: error.to_string() },
        };
        Self::Unavailable { path, reason: format!("{remedy} ({error})") }
    }

    pub(crate) fn unavailable(path: &Path, reason: impl Into<String>) -> Self {
        Self::Unavailable { path: path.to_owned(), reason: reason.into() }
    }
}
