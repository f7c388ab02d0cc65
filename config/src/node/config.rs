//! The types.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use greenroom_contract::NodeId;
use secrecy::SecretString;

use super::slack::Slack;
use crate::role::Roles;

/// Everything that a node is told by its environment, checked. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// The node's name: the same after each start, because what it held before is found by it.
    pub node: NodeId,
    /// What it does.
    pub roles: Roles,
    /// The folder that holds `agents/`.
    pub config_dir: PathBuf,
    /// Where an embedded node keeps its database.
    pub data_dir: PathBuf,
    /// The HTTP door.
    pub http: Http,
    /// What is logged, as a filter, and how.
    pub log: Log,
    /// How long a stop may take in all.
    pub shutdown_grace: Duration,
    /// How long history is kept after its end; for ever, if this is absent.
    pub retention: Option<Duration>,
    /// Up to how many agents each has a queue of its own on a broker.
    pub queues: usize,
    /// Servers of a cluster; what is absent is embedded.
    pub cluster: Cluster,
    /// Slack.
    pub slack: Slack,
    /// Models' providers.
    pub providers: Providers,
    /// How much money this node may spend on models in a day (UTC), in US dollars; absent is no limit.
    pub budget_usd_per_day: Option<f64>,
}

/// The HTTP door.
#[derive(Debug, Clone)]
pub struct Http {
    /// Where it listens.
    pub addr: SocketAddr,
    /// What callers must show. Never absent beyond loopback.
    pub token: Option<SecretString>,
}

/// Logging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A filter such as `info,greenroom_bus=debug`.
    pub filter: String,
    /// How lines look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Pretty on a terminal, else JSON.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For a person.
    Pretty,
}

/// Servers of a cluster. The addresses hold passwords.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    /// RabbitMQ.
    pub amqp_url: Option<SecretString>,
    /// PostgreSQL.
    pub database_url: Option<SecretString>,
    /// Redis.
    pub redis_url: Option<SecretString>,
}

/// Models' providers.
#[derive(Debug, Clone, Default)]
pub struct Providers {
    /// Anthropic.
    pub anthropic: Credentials,
    /// OpenAI, or what stands at its `base_url`.
    pub openai: Credentials,
    /// Where Ollama listens, as its own tools write it: a host, `host:port` or a URL.
    pub ollama_host: Option<String>,
    /// The key for Ollama's cloud.
    pub ollama_api_key: Option<SecretString>,
    /// Amazon Bedrock.
    pub aws: Aws,
}

/// A provider's key and address.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The key.
    pub api_key: Option<SecretString>,
    /// Another address than the provider's own, without a slash at its end.
    pub base_url: Option<String>,
}

/// AWS's own variables.
#[derive(Debug, Clone, Default)]
pub struct Aws {
    /// The region.
    pub region: Option<String>,
    /// The profile.
    pub profile: Option<String>,
    /// The key's name.
    pub access_key_id: Option<SecretString>,
    /// The key.
    pub secret_access_key: Option<SecretString>,
    /// The token of a temporary key.
    pub session_token: Option<SecretString>,
    /// An API key of Bedrock.
    pub bearer_token: Option<SecretString>,
    /// Another address than Bedrock's own.
    pub endpoint_url: Option<String>,
}
