//! Columns: how ids, words, times and payloads come out of PostgreSQL.

use std::{error::Error, str::FromStr, time::Duration};

use greenroom_contract::{clock::from_millis, execution::Failure};
use jiff::Timestamp;
use sqlx::{Decode, Postgres, Row, Type, postgres::PgRow};

use super::fault::{Fault, Job};
use crate::codec::Stored;

/// Reads columns by their place.
pub(super) trait Columns {
    fn get_at<'r, T: Decode<'r, Postgres> + Type<Postgres>>(&'r self, column: usize) -> Job<T>;

    /// Anything that is kept as its word: ids that are names, and statuses.
    fn word<T>(&self, column: usize) -> Job<T>
    where
        T: FromStr,
        T::Err: Error,
    {
        parse(self.get_at(column)?)
    }

    fn maybe_word<T>(&self, column: usize) -> Job<Option<T>>
    where
        T: FromStr,
        T::Err: Error,
    {
        self.get_at::<Option<&str>>(column)?.map(parse).transpose()
    }

    /// The 16 bytes of an id.
    fn id(&self, column: usize) -> Job<[u8; 16]> {
        sixteen(self.get_at(column)?)
    }

    fn maybe_id(&self, column: usize) -> Job<Option<[u8; 16]>> {
        self.get_at::<Option<&[u8]>>(column)?.map(sixteen).transpose()
    }

    fn stored(&self, column: usize) -> Job<Stored> {
        Ok(Stored::from_bytes(self.get_at(column)?))
    }

    fn maybe_stored(&self, column: usize) -> Job<Option<Stored>> {
        Ok(self.get_at::<Option<Vec<u8>>>(column)?.map(Stored::from_bytes))
    }

    /// A number that is never negative.
    fn count(&self, column: usize) -> Job<u64> {
        let value: i64 = self.get_at(column)?;
        u64::try_from(value).map_err(|_| Fault::Wrong(format!("{value} is no count")))
    }

    /// A small number that is never negative.
    fn small(&self, column: usize) -> Job<u32> {
        let value: i32 = self.get_at(column)?;
        u32::try_from(value).map_err(|_| Fault::Wrong(format!("{value} is no count")))
    }

    fn time(&self, column: usize) -> Job<Timestamp> {
        Ok(from_millis(self.get_at(column)?))
    }

    fn maybe_time(&self, column: usize) -> Job<Option<Timestamp>> {
        Ok(self.get_at::<Option<i64>>(column)?.map(from_millis))
    }

    /// A failure from two neighbouring columns, code first.
    fn failure(&self, code: usize) -> Job<Option<Failure>> {
        let message: Option<String> = self.get_at(code + 1)?;
        let code: Option<String> = self.get_at(code)?;
        Ok(code.map(|code| Failure { code, message: message.unwrap_or_default() }))
    }
}

impl Columns for PgRow {
    fn get_at<'r, T: Decode<'r, Postgres> + Type<Postgres>>(&'r self, column: usize) -> Job<T> {
        Ok(self.try_get(column)?)
    }
}

fn parse<T>(word: &str) -> Job<T>
where
    T: FromStr,
    T::Err: Error,
{
    word.parse().map_err(|error: T::Err| Fault::Wrong(error.to_string()))
}

fn sixteen(bytes: &[u8]) -> Job<[u8; 16]> {
    bytes.try_into().map_err(|_| Fault::Wrong(format!("an id of {} bytes", bytes.len())))
}

/// A small number as PostgreSQL keeps it.
pub(super) fn int4(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// A wait in milliseconds that can be added to any moment; the longest is some thirty thousand years.
pub(super) fn wait_ms(wait: Duration) -> i64 {
    i64::try_from(wait.as_millis()).unwrap_or(i64::MAX).min(1_000_000_000_000_000)
}
