//! The real `greenroom` binary as a child process, in a temporary home, on a free port; or several of them as a cluster.

mod api;
mod binary;
mod cluster;
mod home;
mod launch;
mod process;

pub use api::Node;
pub use binary::{greenroom, mcp_server};
pub use cluster::{Cluster, Member};
pub use home::Home;
pub use launch::{Finished, Launch};
pub use process::Process;
