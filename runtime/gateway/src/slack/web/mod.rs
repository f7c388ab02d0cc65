//! Slack's side of the wire: its Web API and its response addresses. Nothing else is ever posted to.
//!
//! * `client`: `SlackWeb`, which calls methods with the workspace's token, within Slack's limits
//! * `options`: what is needed for it
//! * `limits`: when a method may be called again (pure)
//! * `answer`: what Slack's answer to a request means
//! * `address`: which addresses may be called (pure)
//! * `socket`: opens a connection of Socket Mode

mod address;
mod answer;
mod client;
mod limits;
mod options;
mod socket;

pub(crate) use answer::{Posted, Refused};
pub use client::SlackWeb;
pub use options::{SetupError, WebOptions};
pub(crate) use socket::Socket;
