//! What the nodes stand on: this machine alone, or the user's servers.

use std::{ffi::OsString, time::Duration};

use greenroom_bus::{AmqpBus, amqp};
use greenroom_config::{Environment, NodeConfig};
use greenroom_contract::port::bus::{Bus, DEAD_LETTER_QUEUE, QueueSpec, Sharing};
use greenroom_state::postgres::{create_database, drop_database};
use secrecy::{ExposeSecret, SecretString};

use super::{cast::Cast, fleet::LOOK};
use crate::cli::{exit::Exit, output};

/// How long the broker may take to let us in.
const PATIENCE: Duration = Duration::from_secs(15);

/// What was prepared, and has to be cleaned away.
pub(super) struct Ground {
    servers: Option<Servers>,
}

struct Servers {
    amqp: SecretString,
    /// The user's database, beside which ours stands.
    beside: SecretString,
    database: SecretString,
    name: String,
    redis: Option<SecretString>,
}

impl Ground {
    /// Prepares it: nothing without servers; with them, a database of its own, and a look whether the vhost is free.
    pub(super) async fn prepare(env: &Environment, cast: &Cast) -> Result<Self, Exit> {
        let cluster = NodeConfig::from_env(env)?.cluster;
        let (amqp, beside) = match (cluster.amqp_url, cluster.database_url) {
            (None, None) => return Ok(Self { servers: None }),
            (Some(amqp), Some(database)) => (amqp, database),
            _ => return Err(Exit::config("set both GREENROOM_AMQP_URL and GREENROOM_DATABASE_URL, or neither")),
        };
        check_free(&amqp).await?;
        let name = format!("greenroom_{}", cast.prefix.replace('-', "_"));
        let database = create_database(beside.expose_secret(), &name).await.map_err(|error| {
            Exit::failed(format!("no database for the test can be made beside yours: {error}; its user needs CREATEDB"))
        })?;
        output::note(format_args!(
            "Uses the servers of GREENROOM_AMQP_URL, GREENROOM_DATABASE_URL and GREENROOM_REDIS_URL: a database {name} of its \
             own, which is dropped at the end; in RabbitMQ the queues agent.input.{}-…, which are deleted; in Redis keys \
             under its agents' names, which run out. Your agents, tables and queues are not touched.",
            cast.prefix
        ));
        let servers = Servers { amqp, beside, database: database.into(), name, redis: cluster.redis_url };
        Ok(Self { servers: Some(servers) })
    }

    /// Whether several nodes can stand on it.
    pub(super) fn is_shared(&self) -> bool {
        self.servers.is_some()
    }

    pub(super) fn shown(&self) -> &'static str {
        match &self.servers {
            None => "the embedded store and bus",
            Some(Servers { redis: None, .. }) => "RabbitMQ and PostgreSQL",
            Some(_) => "RabbitMQ, PostgreSQL and Redis",
        }
    }

    /// By what the nodes find it.
    pub(super) fn variables(&self) -> Vec<(OsString, OsString)> {
        let Some(servers) = &self.servers else { return Vec::new() };
        let shown = |url: &SecretString| OsString::from(url.expose_secret());
        let mut variables = vec![
            ("GREENROOM_AMQP_URL".into(), shown(&servers.amqp)),
            ("GREENROOM_DATABASE_URL".into(), shown(&servers.database)),
        ];
        variables.extend(servers.redis.iter().map(|url| ("GREENROOM_REDIS_URL".into(), shown(url))));
        variables
    }

    /// Takes away what was made. What cannot be is named.
    pub(super) async fn clean(&self, cast: &Cast) {
        let Some(servers) = &self.servers else { return };
        if let Err(error) = drop_database(servers.beside.expose_secret(), &servers.name).await {
            output::note(format_args!("The database {} could not be dropped: {error}", servers.name));
        }
        if let Err(error) = delete_queues(&servers.amqp, cast).await {
            output::note(format_args!("The queues of {} could not be deleted: {}", cast.prefix, error.message));
        }
    }
}

/// Nodes on the same vhost would hear of ours, and ours take their dead letters, which would go with our database.
async fn check_free(url: &SecretString) -> Result<(), Exit> {
    let bus = connect(url).await?;
    let queues = bus.queues().await.map_err(Exit::failed)?;
    match queues.iter().find(|queue| queue.name == DEAD_LETTER_QUEUE) {
        Some(dead) if dead.consumers > 0 || dead.ready > 0 => Err(Exit::failed(
            "a Greenroom lives on this vhost of RabbitMQ, or its dead letters wait there; give the test one of its own: \
             `rabbitmqctl add_vhost greenroom-selftest`, `rabbitmqctl set_permissions -p greenroom-selftest USER '.*' '.*' \
             '.*'`, and GREENROOM_AMQP_URL=amqp://…/greenroom-selftest",
        )),
        _ => Ok(()),
    }
}

async fn delete_queues(url: &SecretString, cast: &Cast) -> Result<(), Exit> {
    let bus = connect(url).await?;
    for agent in cast.agents() {
        let name = format!("agent.input.{agent}");
        // Declared as it is, so that its bindings are known; then let go.
        let queue = QueueSpec { name: name.clone(), bindings: Vec::new(), sharing: Sharing::Competing };
        bus.declare(queue).await.map_err(Exit::failed)?;
        bus.retire(&name).await.map_err(Exit::failed)?;
    }
    Ok(())
}

async fn connect(url: &SecretString) -> Result<std::sync::Arc<AmqpBus>, Exit> {
    let options = amqp::Options { name: "greenroom selftest".to_owned(), ..amqp::Options::default() };
    let bus = AmqpBus::start(url.expose_secret(), options).await.map_err(Exit::failed)?;
    let began = std::time::Instant::now();
    while let Err(error) = bus.health().await {
        if began.elapsed() > PATIENCE {
            return Err(Exit::failed(format!("RabbitMQ does not let us in: {error}")));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(bus)
}
