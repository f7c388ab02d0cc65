//! What a node is told by its environment: `config` has the types, `read` reads and checks them.

mod config;
mod read;

pub use config::{Aws, Cluster, Credentials, Http, Log, LogFormat, NodeConfig, Providers, Slack};
