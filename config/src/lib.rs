#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod address;
pub mod diff;
pub mod env;
pub mod load;
pub mod node;
pub mod role;
pub mod schema;
pub mod spec;
mod variable;
pub mod watch;

pub use diff::{Changes, diff};
pub use env::Environment;
pub use greenroom_contract::duration::{self, HumanDuration};
pub use load::{Definition, LoadError, Loaded, Problem, Refused, load, parse, provider_rules};
pub use node::{DirectMessages, NodeConfig, People, Slack};
pub use role::{Role, Roles};
pub use schema::{agent_schema, providers_schema};
pub use spec::{AgentSpec, KeyLimit, ProviderRules};
pub use variable::{VARIABLES, Variable};
pub use watch::watch;
