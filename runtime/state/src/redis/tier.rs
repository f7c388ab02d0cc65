//! What is asked of Redis, and for how long anybody waits for it.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use fred::{
    clients::Client,
    interfaces::{ClientLike, KeysInterface, LuaInterface},
    types::{
        Builder,
        config::{Config, ReconnectPolicy},
    },
};
use greenroom_contract::{
    jitter,
    port::{
        operator::{ComponentHealth, HealthStatus},
        state::{Error, Result},
    },
    task::{self, Scoped},
};

use super::breaker::Breaker;

/// How long a command may take.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long a reader waits for an entry before it asks the durable store instead.
const SOON: Duration = Duration::from_millis(30);
/// How often a Redis that is left alone is asked whether it is well; at first sooner, for it may just be connecting.
const PROBE_EVERY: Duration = Duration::from_secs(1);
const PROBE_FIRST: Duration = Duration::from_millis(100);
const EARLY_PROBES: u32 = 10;
/// Deletes that go out in one command.
const CHUNK: usize = 500;

/// Sets an entry unless a newer one is there. Redis runs a script alone, so nothing comes between look and write.
const SET_IF_NEWER: &str = "local there = redis.call('GETRANGE', KEYS[1], 0, 19) \
     if there < string.sub(ARGV[1], 1, 20) then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1 end return 0";

/// How the tier uses its Redis. The defaults suit production.
#[derive(Debug, Clone)]
pub struct Options {
    /// What every key begins with.
    pub prefix: String,
    /// How long an entry lives; up to a tenth more, at random, so that they do not go all at once.
    pub ttl: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { prefix: "greenroom:".to_owned(), ttl: Duration::from_secs(24 * 60 * 60) }
    }
}

/// The hot tier. Cheap to clone. It may be away at any time: nothing is lost with it, and after two failures nobody waits
/// for it until it answers again.
#[derive(Clone)]
pub struct RedisTier {
    inner: Arc<Inner>,
    /// Ends the probes with the last clone.
    _probes: Arc<Scoped>,
}

struct Inner {
    client: Client,
    breaker: Breaker,
    options: Options,
    place: String,
}

impl RedisTier {
    /// Starts a tier on the Redis at `url` (`redis://:password@host:port/database`). Connects behind the caller's back: a
    /// Redis that is away is found when it is there. Fails with `Conflict` when `url` makes no sense; never tells the
    /// password.
    pub fn start(url: &str, options: Options) -> Result<Self> {
        let unreadable = || Error::Conflict { what: "the cache's URL is not one of Redis (redis://…)".to_owned() };
        let mut config = Config::from_url(url).map_err(|_| unreadable())?;
        // Otherwise the client gives up for good when its first connection fails.
        config.fail_fast = false;
        let hosts = config.server.hosts();
        let place = hosts.first().map_or_else(String::new, |host| format!("Redis at {}:{}", host.host, host.port));
        let client = Builder::from_config(config)
            .with_performance_config(|performance| performance.default_command_timeout = PATIENCE)
            .with_connection_config(|connection| {
                connection.connection_timeout = Duration::from_secs(1);
                connection.internal_command_timeout = Duration::from_secs(1);
                connection.max_command_attempts = 1;
                connection.unresponsive.max_timeout = Some(Duration::from_secs(1));
                connection.unresponsive.interval = Duration::from_millis(400);
            })
            .set_policy(ReconnectPolicy::new_constant(0, 500))
            .build()
            .map_err(|_| unreadable())?;
        drop(client.connect());
        let breaker = Breaker::open(&format!("{place} has not answered yet"));
        let inner = Arc::new(Inner { client, breaker, options, place });
        let probes = task::spawn_scoped("cache-probe", probe(Arc::downgrade(&inner)));
        Ok(Self { inner, _probes: Arc::new(probes) })
    }

    /// The component `cache`: degraded with a reason while Redis is left alone, and never down, for nothing depends on it.
    pub fn health(&self) -> ComponentHealth {
        let reason = self.inner.breaker.reason();
        let status = if reason.is_some() { HealthStatus::Degraded } else { HealthStatus::Ok };
        ComponentHealth { component: "cache".to_owned(), status, reason }
    }

    pub(super) fn is_open(&self) -> bool {
        self.inner.breaker.is_open()
    }

    pub(super) fn key(&self, kind: &str, of: &str) -> String {
        format!("{}{kind}:{of}", self.inner.options.prefix)
    }

    /// An entry, if it is there and Redis tells soon. The durable store has it, too: nobody waits for longer than that costs,
    /// and what becomes of the question is still counted.
    pub(super) async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let (inner, key) = (Arc::clone(&self.inner), key.to_owned());
        // The client's futures are large.
        let mut asked = Box::pin(async move {
            let entry = inner.client.get::<Option<Vec<u8>>, _>(key);
            Box::pin(inner.ask(entry)).await.flatten()
        });
        match tokio::time::timeout(SOON, &mut asked).await {
            Ok(found) => found,
            Err(_) => {
                // It ends within its own time, and no more are asked once two have failed.
                drop(task::spawn("cache-late", asked));
                None
            }
        }
    }

    /// Sets an entry unless a newer one is there. One that cannot be set is deleted when Redis is back.
    pub(super) async fn set(&self, key: String, entry: Vec<u8>) {
        let ttl = self.inner.options.ttl.mul_f64(1.0 + jitter() * 0.1);
        let ttl = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        let args: Vec<fred::types::Value> = vec![fred::types::Value::Bytes(entry.into()), ttl.into()];
        let set = self.inner.client.eval::<i64, _, _, _>(SET_IF_NEWER, key.as_str(), args);
        if Box::pin(self.inner.ask(set)).await.is_none() {
            self.missed(key);
        }
    }

    /// Remembers an entry that was not written.
    pub(super) fn missed(&self, key: String) {
        self.inner.breaker.missed(key);
    }
}

impl std::fmt::Debug for RedisTier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisTier").field("place", &self.inner.place).finish_non_exhaustive()
    }
}

impl Inner {
    /// Awaits an answer for at most [`PATIENCE`]. The limit is kept here too: the client forgets its own for scripts.
    async fn ask<T>(&self, question: impl Future<Output = Result<T, fred::error::Error>>) -> Option<T> {
        if self.breaker.is_open() {
            return None;
        }
        match self.answer(question).await {
            Ok(answer) => {
                self.breaker.succeeded();
                Some(answer)
            }
            Err(reason) => {
                self.breaker.failed(&reason);
                None
            }
        }
    }

    async fn answer<T>(&self, question: impl Future<Output = Result<T, fred::error::Error>>) -> Result<T, String> {
        match tokio::time::timeout(PATIENCE, question).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(format!("{}: {}", self.place, error.details())),
            Err(_) => Err(format!("{}: no answer within {PATIENCE:?}", self.place)),
        }
    }

    /// Looks whether Redis is well, deletes what it missed, and only then lets it be used.
    async fn look(&self) -> Result<(), String> {
        self.answer(self.client.ping::<String>(None)).await?;
        let missed = self.breaker.take_missed();
        for keys in missed.chunks(CHUNK) {
            if let Err(reason) = self.answer(self.client.del::<i64, _>(keys.to_vec())).await {
                missed.iter().for_each(|key| self.breaker.missed(key.clone()));
                return Err(reason);
            }
        }
        self.breaker.close();
        Ok(())
    }
}

async fn probe(tier: Weak<Inner>) {
    for round in 0_u64.. {
        let wait = if round < u64::from(EARLY_PROBES) { PROBE_FIRST } else { PROBE_EVERY };
        tokio::time::sleep(wait).await;
        let Some(tier) = tier.upgrade() else { return };
        if tier.breaker.is_open()
            && let Err(reason) = tier.look().await
        {
            tracing::trace!(reason, "The cache is still away.");
        }
    }
}
