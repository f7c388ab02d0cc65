//! Tool servers that speak the Model Context Protocol, by the official SDK, in both of its lifecycles.
//!
//! - `link`: how a server is reached, from its configuration and the environment
//! - `connection`: one life of a server: start, handshake, list, end
//! - `server`: the server over many lives: reconnects, lists again, says why it is down; and calls
//! - `translate`: the protocol's words into ours; `failure`: the SDK's errors into reasons
//! - `allow`: which tools an agent may see

mod allow;
mod connection;
mod failure;
mod link;
mod server;
mod translate;

pub(super) use link::Link;
pub(super) use server::Server;
