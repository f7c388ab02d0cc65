//! What a node is told by its environment: `config` has the types, `slack` those of Slack's,
//! `read` reads and checks them.

mod config;
mod read;
mod slack;

pub use config::{Aws, Cluster, Credentials, Http, Log, LogFormat, NodeConfig, Providers};
pub use slack::{DirectMessages, People, Slack};
