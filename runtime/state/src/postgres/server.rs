//! The way to the server: how a connection is made, and for how long anything may take.

use std::{fmt, str::FromStr, time::Duration};

use greenroom_contract::port::state::{Error, Result};
use sqlx::{
    ConnectOptions, Connection,
    postgres::{PgConnectOptions, PgConnection},
};

use super::{
    fault::{Fault, Job},
    options::Options,
};

/// Where the server is, for messages: never with its password.
#[derive(Debug, Clone)]
pub(super) struct Place(String);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes connections.
#[derive(Debug, Clone)]
pub(super) struct Server {
    options: PgConnectOptions,
    pub(super) place: Place,
    /// How long connecting may take.
    pub(super) acquire: Duration,
    /// How long one call of possibly several statements may take, before its connection is thrown away. The server
    /// gives up sooner by its own time-outs; this one is for a server that does not answer at all.
    pub(super) call: Duration,
}

impl Server {
    pub(super) fn new(url: &str, options: &Options) -> Result<Self> {
        let Options { schema, acquire, statement, .. } = options;
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if schema.is_empty() || schema.len() > 63 || !schema.chars().all(good) || schema.starts_with("pg_") {
            let what = format!("{schema:?} is no name for a schema (lower-case letters, digits and _)");
            return Err(Error::Conflict { what });
        }
        let unreadable =
            || Error::Conflict { what: "the database's URL is not one of PostgreSQL's (postgres://…)".to_owned() };
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(unreadable());
        }
        let parsed = PgConnectOptions::from_str(url).map_err(|_| unreadable())?;
        let database = parsed.get_database().unwrap_or_else(|| parsed.get_username());
        let place = Place(format!("PostgreSQL at {}:{}/{database}", parsed.get_host(), parsed.get_port()));
        let millis = |wait: Duration| wait.as_millis().to_string();
        let options = parsed.application_name("greenroom").disable_statement_logging().options([
            ("search_path", schema.clone()),
            ("statement_timeout", millis(*statement)),
            ("lock_timeout", millis(*statement / 2)),
            ("idle_in_transaction_session_timeout", millis(*statement * 4)),
            ("tcp_keepalives_idle", "10".to_owned()),
            ("tcp_keepalives_interval", "3".to_owned()),
            ("tcp_keepalives_count", "3".to_owned()),
            // Every statement looks a few rows up by an index, and is planned once, when the tables may still be empty:
            // a plan that scans because there is nothing to scan would stay.
            ("plan_cache_mode", "force_generic_plan".to_owned()),
            ("enable_seqscan", "off".to_owned()),
            ("enable_hashjoin", "off".to_owned()),
            ("enable_mergejoin", "off".to_owned()),
            ("jit", "off".to_owned()),
        ]);
        Ok(Self { options, place, acquire: *acquire, call: *statement * 2 })
    }

    pub(super) async fn connect(&self) -> Job<PgConnection> {
        let connecting = PgConnection::connect_with(&self.options);
        match tokio::time::timeout(self.acquire, connecting).await {
            Ok(Ok(conn)) => Ok(conn),
            Ok(Err(error)) => Err(Fault::from(error)),
            Err(_) => Err(Fault::Lost(format!("no connection within {:?}", self.acquire))),
        }
    }

    /// Awaits `call`, which works on a connection. `Lost` means that the connection must be thrown away: the call was
    /// abandoned in the midst of it, and the server may still be at it.
    pub(super) async fn in_time<T>(&self, call: impl Future<Output = Job<T>>) -> Job<T> {
        match tokio::time::timeout(self.call, call).await {
            Ok(done) => done,
            Err(_) => Err(Fault::Lost(format!("no answer within {:?}", self.call))),
        }
    }
}
