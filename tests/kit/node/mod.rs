//! The real `greenroom` binary as a child process, in a temporary home, on a free port.

mod api;
mod binary;
mod home;
mod launch;
mod process;

pub use api::Node;
pub use binary::{greenroom, mcp_server};
pub use home::Home;
pub use launch::{Finished, Launch};
pub use process::Process;
