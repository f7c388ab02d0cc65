//! Jobs for the database's threads, and their errors on the way to the port's.

use greenroom_contract::port::state::Error;
use greenroom_sqlite::Failed;
use rusqlite::{Connection, Params};

/// The result of a job on a database thread.
pub(super) type Job<T> = Result<T, Failed<Fault>>;

/// A port error that a [`greenroom_sqlite::Error`] can become.
#[derive(Debug)]
pub(super) struct Fault(pub Error);

impl From<greenroom_sqlite::Error> for Fault {
    fn from(error: greenroom_sqlite::Error) -> Self {
        match error {
            greenroom_sqlite::Error::Unavailable { .. } => Self(Error::Unavailable { reason: error.to_string() }),
            // The file answers, but not with what this build's statements expect: another try will not help.
            greenroom_sqlite::Error::Refused { .. } => Self(Error::Corrupt { what: error.to_string() }),
        }
    }
}

/// Ends a job with a port error; what it wrote is undone.
pub(super) fn refuse<T>(error: Error) -> Job<T> {
    Err(Failed::Caller(Fault(error)))
}

// SQLite plans a cached statement anew for each value of `LIMIT ?`; `LIMIT ? + 0` it plans once.

/// Runs one cached statement and says how many rows it changed.
pub(super) fn run(conn: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
    conn.prepare_cached(sql)?.execute(params)
}
