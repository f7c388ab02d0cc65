//! Columns: how ids, words, times and payloads pass between Rust and SQLite.

use std::{error::Error, str::FromStr, time::Duration};

use greenroom_contract::execution::Failure;
use rusqlite::{
    Row, ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};

use crate::codec::Stored;

/// Anything that is kept as its word: ids that are names, and statuses.
pub(super) struct Word<T>(pub T);

impl<T> FromSql for Word<T>
where
    T: FromStr,
    T::Err: Error + Send + Sync + 'static,
{
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map(Self).map_err(FromSqlError::other)
    }
}

impl ToSql for Stored {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Text(text) => text.to_sql(),
            Self::Blob(bytes) => bytes.to_sql(),
        }
    }
}

impl FromSql for Stored {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Text(_) => Ok(Self::Text(value.as_str()?.to_owned())),
            ValueRef::Blob(bytes) => Ok(Self::Blob(bytes.to_vec())),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

/// Reads a failure from two neighbouring columns, code first.
pub(super) fn failure(row: &Row<'_>, code: usize) -> rusqlite::Result<Option<Failure>> {
    let (code, message): (Option<String>, Option<String>) = (row.get(code)?, row.get(code + 1)?);
    Ok(code.map(|code| Failure { code, message: message.unwrap_or_default() }))
}

/// Reads an unsigned number.
pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// The moment so long after `now`, in milliseconds; a wait that no clock can hold ends at the last moment there is.
pub(super) fn after(now: i64, wait: Duration) -> i64 {
    now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}
