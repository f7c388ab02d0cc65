//! Tool servers that speak the Model Context Protocol, by the official SDK, in both of its lifecycles.
//!
//! - `link`: how a server is reached, from its configuration and the environment; `name`: what it is called;
//!   `veil`: its secrets, which nothing shows
//! - `oauth`: access tokens by client credentials; `http`: the HTTP client that uses them
//! - `connection`: one life of a server: start, handshake, list, end; `hurry`: which lifecycle, without a long wait;
//!   `child`: a program with everything that it starts; `stderr`: what it complains of
//! - `server`: the server over many lives, which a `keeper` looks after; `call`: one call
//! - `view`: the server as one agent sees it, by its `rules`
//! - `translate`: the protocol's words into ours; `failure`: the SDK's errors into reasons

mod call;
mod child;
mod connection;
mod failure;
mod http;
mod hurry;
mod keeper;
mod link;
mod name;
mod oauth;
mod rules;
mod server;
mod stderr;
mod translate;
mod veil;
mod view;

pub(super) use link::Link;
pub(super) use rules::Rules;
pub(super) use server::Lease;
pub(super) use view::View;
