//! Store, cache and bus by their addresses: what is absent is embedded.

use std::{sync::Arc, time::Duration};

use greenroom_actors::caretaker::Ask;
use greenroom_bus::{AmqpBus, EmbeddedBus, amqp};
use greenroom_config::NodeConfig;
use greenroom_contract::{
    Clock,
    port::{
        bus::Bus,
        state::{self, State},
    },
};
use greenroom_sqlite::{Database, Migration};
use greenroom_state::{PostgresState, RedisTier, SqliteState, Tiered, postgres, redis};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::error::BootError;

/// How long a database that cannot be reached is waited for at the start; then the node ends, for whoever starts it again.
const PATIENCE: Duration = Duration::from_secs(60);
/// The wait between two tries, at first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What a node stands on.
pub(super) struct Backends {
    pub(super) state: Arc<dyn State>,
    pub(super) bus: Arc<dyn Bus>,
    /// How the cache before the store is, if there is one.
    pub(super) cache: Option<Ask>,
    /// Whether other nodes stand on the same store: only then is there a cluster.
    pub(super) shared: bool,
}

/// Opens them. A database that is not there is waited for, for a bounded time; a broker is connected to in the background.
pub(super) async fn open(config: &NodeConfig, clock: &Arc<dyn Clock>) -> Result<Backends, BootError> {
    check(config)?;
    let cluster = &config.cluster;
    std::fs::create_dir_all(&config.data_dir)
        .map_err(|error| BootError::Other(format!("{}: {error}", config.data_dir.display())))?;
    let database = embedded(config)?;
    let durable: Arc<dyn State> = match (&cluster.database_url, &database) {
        (Some(url), _) => Arc::new(reach(url).await?),
        (None, Some(database)) => Arc::new(SqliteState::new(database.clone(), Arc::clone(clock))),
        (None, None) => return Err(BootError::Other("no store was opened".to_owned())),
    };
    let bus: Arc<dyn Bus> = match (&cluster.amqp_url, database) {
        (Some(url), _) => {
            let options = amqp::Options { name: format!("greenroom {}", config.node), ..amqp::Options::default() };
            AmqpBus::start(url.expose_secret(), options).await?
        }
        (None, Some(database)) => EmbeddedBus::start(database, Arc::clone(clock)).await?,
        (None, None) => return Err(BootError::Other("no bus was opened".to_owned())),
    };
    if cluster.database_url.is_none() != cluster.amqp_url.is_none() {
        let embedded = if cluster.database_url.is_none() { "store" } else { "bus" };
        tracing::warn!(embedded, "One of store and bus is embedded: this node has to be the only one.");
    }
    let (state, cache) = cached(cluster.redis_url.as_ref(), durable)?;
    Ok(Backends { state, bus, cache, shared: cluster.database_url.is_some() })
}

/// Puts the cache before the store where its URL is set. It is connected to in the background and may be away.
fn cached(url: Option<&SecretString>, durable: Arc<dyn State>) -> Result<(Arc<dyn State>, Option<Ask>), BootError> {
    let Some(url) = url else { return Ok((durable, None)) };
    let tier = RedisTier::start(url.expose_secret(), redis::Options::default())
        .map_err(|error| BootError::Combination(format!("GREENROOM_REDIS_URL: {error}")))?;
    let state = Arc::new(Tiered::new(durable, tier.clone()));
    Ok((state, Some(Box::new(move || tier.health()))))
}

/// The embedded database, for what has no server: store, bus or both.
fn embedded(config: &NodeConfig) -> Result<Option<Database>, BootError> {
    let mut migrations: Vec<Migration> = Vec::new();
    if config.cluster.database_url.is_none() {
        migrations.extend_from_slice(greenroom_state::sqlite::MIGRATIONS);
    }
    if config.cluster.amqp_url.is_none() {
        migrations.extend_from_slice(greenroom_bus::MIGRATIONS);
    }
    match migrations.is_empty() {
        true => Ok(None),
        false => Ok(Some(Database::open(&config.data_dir, &migrations)?)),
    }
}

/// Connects to the database, and again while it cannot be reached. No error tells the password.
async fn reach(url: &SecretString) -> Result<PostgresState, BootError> {
    let (began, mut wait) = (Instant::now(), FIRST_WAIT);
    loop {
        match PostgresState::connect(url.expose_secret(), postgres::Options::default()).await {
            Ok(state) => return Ok(state),
            Err(state::Error::Unavailable { reason }) if began.elapsed() < PATIENCE => {
                tracing::warn!(error = reason, "The database cannot be reached yet; it is waited for.");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Refuses what cannot work together, before anything is opened.
fn check(config: &NodeConfig) -> Result<(), BootError> {
    let cluster = &config.cluster;
    let lacks = |has: bool, variable: &'static str| (!has).then_some(variable);
    let absent: Vec<&str> = [
        lacks(cluster.database_url.is_some(), "GREENROOM_DATABASE_URL"),
        lacks(cluster.amqp_url.is_some(), "GREENROOM_AMQP_URL"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !config.roles.is_all() && !absent.is_empty() {
        return Err(BootError::Combination(format!(
            "a node with only the roles {} needs others beside it, and they can meet only in PostgreSQL and RabbitMQ: \
             set {}, or give the node every role",
            config.roles.words().join(", "),
            absent.join(" and ")
        )));
    }
    if cluster.redis_url.is_some() && cluster.database_url.is_none() {
        return Err(BootError::Combination(
            "Redis stands before PostgreSQL and is no store of its own: set GREENROOM_DATABASE_URL too, or unset \
             GREENROOM_REDIS_URL"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Brings the store's tables up to date, and says what it was that is up to date now.
pub async fn migrate(config: &NodeConfig) -> Result<String, BootError> {
    if let Some(url) = &config.cluster.database_url {
        drop(reach(url).await?);
        return Ok("the PostgreSQL database".to_owned());
    }
    drop(embedded(config)?);
    Ok(format!("the database in {}", config.data_dir.display()))
}
