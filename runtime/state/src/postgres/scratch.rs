//! A database of its own beside the user's, for a test of the whole, and its end.

use std::{str::FromStr, time::Duration};

use greenroom_contract::port::state::{Error, Result};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, postgres::PgConnectOptions};

/// How long making or dropping a database may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes the database `name` on the server of `url` and returns its URL. Fails with `Conflict` when this user may not, and
/// with `Unavailable` when the server cannot be reached. No error tells the password.
pub async fn create_database(url: &str, name: &str) -> Result<String> {
    let server = parse(url)?;
    execute(&server, format!("CREATE DATABASE {}", quoted(name)?)).await?;
    Ok(server.database(name).to_url_lossy().to_string())
}

/// Drops it, with everybody in it.
pub async fn drop_database(url: &str, name: &str) -> Result<()> {
    execute(&parse(url)?, format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name)?)).await
}

fn parse(url: &str) -> Result<PgConnectOptions> {
    let unreadable = |_| Error::Conflict { what: "the database's URL is not one of PostgreSQL's".to_owned() };
    PgConnectOptions::from_str(url).map_err(unreadable)
}

/// A name that needs no quoting, quoted all the same.
fn quoted(name: &str) -> Result<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match !name.is_empty() && name.len() <= 63 && name.chars().all(plain) {
        true => Ok(format!("\"{name}\"")),
        false => Err(Error::Conflict { what: format!("{name:?} is no name for a database") }),
    }
}

async fn execute(server: &PgConnectOptions, statement: String) -> Result<()> {
    let done = async {
        let mut conn = server.connect().await?;
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut conn).await?;
        conn.close().await
    };
    match tokio::time::timeout(PATIENCE, done).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(sqlx::Error::Database(error))) => Err(Error::Conflict { what: error.message().to_owned() }),
        Ok(Err(error)) => Err(Error::Unavailable { reason: error.to_string() }),
        Err(_) => Err(Error::Unavailable { reason: format!("PostgreSQL did not answer within {PATIENCE:?}") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_taken() {
        assert_eq!(quoted("greenroom_selftest_1f").unwrap(), "\"greenroom_selftest_1f\"");
        for bad in ["", "a\"b", "A", "a b", "a;drop"] {
            assert!(quoted(bad).is_err(), "{bad}");
        }
    }
}
