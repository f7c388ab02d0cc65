//! A TCP proxy that breaks on purpose: put before a server, it fails as networks do, needs no rights, and heals.

mod door;
mod flow;
mod pump;

pub use door::Proxy;
pub use flow::Direction;
