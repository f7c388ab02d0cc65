//! What can go wrong with a call to PostgreSQL, as decisions.

use greenroom_contract::port::state::Error;

use super::server::Place;

/// The result of a call on a connection.
pub(super) type Job<T> = Result<T, Fault>;

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is the caller's to know; what was written is undone.
    Port(Error),
    /// It collided with another transaction: the same again can succeed.
    Again(String),
    /// The connection is of no use any more. Whether the last statement took effect is not known.
    Lost(String),
    /// The server cannot do it now; the connection is good.
    Unable(String),
    /// The server answers, but not with what this build's statements expect: another try will not help.
    Wrong(String),
}

impl Fault {
    /// As the port says it, with the place of the server.
    pub(super) fn into_error(self, place: &Place) -> Error {
        match self {
            Self::Port(error) => error,
            Self::Again(reason) | Self::Lost(reason) | Self::Unable(reason) => {
                Error::Unavailable { reason: format!("{place}: {reason}") }
            }
            Self::Wrong(what) => Error::Corrupt { what: format!("{place}: {what}") },
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Port(error)
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(answer) => {
                let code = answer.code().unwrap_or_default();
                let said = format!("{} ({code})", answer.message());
                match code.as_ref() {
                    // Serialization failure, deadlock, and two first writings of one row.
                    "40001" | "40P01" | "23505" => Self::Again(said),
                    // Shutdown, crash, not yet up, session taken away.
                    "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "25P03" => Self::Lost(said),
                    // Time-outs, a standby, a failing disk.
                    "57014" | "55P03" | "25006" | "58030" => Self::Unable(said),
                    code if code.starts_with("08") => Self::Lost(said),
                    // Full disk, out of memory, too many connections; or not let in.
                    code if code.starts_with("53") || code.starts_with("28") => Self::Unable(said),
                    _ => Self::Wrong(said),
                }
            }
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::TypeNotFound { .. }
            | sqlx::Error::RowNotFound => Self::Wrong(error.to_string()),
            _ => Self::Lost(error.to_string()),
        }
    }
}
