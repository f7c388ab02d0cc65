//! The three servers that all tests share.

use std::sync::OnceLock;

use super::{Backends, Database, RedisDatabase, Vhost, script};

/// Where the shared servers are.
#[derive(Debug, Clone)]
pub struct Shared {
    /// RabbitMQ, its vhost `/`.
    pub amqp: String,
    /// RabbitMQ's management.
    pub amqp_admin: String,
    /// PostgreSQL, a database that may make others.
    pub database: String,
    /// Redis, its database 0.
    pub redis: String,
}

/// The shared servers. The first call of a test process starts them unless they run or the `GREENROOM_TEST_*_URL`
/// variables name others; `.ci/servers down` ends them.
///
/// # Panics
/// When they cannot be had.
pub fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let printed = script::printed(script::command(&["up"]).output());
        let line = |name: &str| {
            let mut pairs = printed.lines().filter_map(|line| line.split_once('='));
            pairs.find(|(found, _)| *found == name).map(|(_, url)| url.to_owned())
        };
        let url = |name: &str| match line(name) {
            Some(url) => url,
            None => panic!(".ci/servers up did not name {name}:\n{printed}"),
        };
        let amqp = url("GREENROOM_TEST_AMQP_URL");
        let amqp_admin = line("GREENROOM_TEST_AMQP_ADMIN_URL").unwrap_or_else(|| usual_admin(&amqp));
        Shared {
            amqp,
            amqp_admin,
            database: url("GREENROOM_TEST_DATABASE_URL"),
            redis: url("GREENROOM_TEST_REDIS_URL"),
        }
    })
}

impl Shared {
    /// A vhost, a database and a Redis database that nobody else uses.
    pub async fn backends(&self) -> Backends {
        Backends { amqp: self.vhost().await, database: self.database().await, redis: self.redis() }
    }

    /// A new vhost.
    pub async fn vhost(&self) -> Vhost {
        Vhost::create(&self.amqp, &self.amqp_admin).await
    }

    /// A new, empty database.
    pub async fn database(&self) -> Database {
        Database::create(&self.database).await
    }

    /// An emptied Redis database.
    pub fn redis(&self) -> RedisDatabase {
        RedisDatabase::take(&self.redis)
    }
}

/// The management's usual address beside a broker's.
fn usual_admin(amqp: &str) -> String {
    match url::Url::parse(amqp) {
        Ok(url) => {
            let (user, password) = (url.username(), url.password().unwrap_or_default());
            format!("http://{user}:{password}@{}:15672", url.host_str().unwrap_or("127.0.0.1"))
        }
        Err(error) => panic!("GREENROOM_TEST_AMQP_URL is no URL: {error}"),
    }
}
