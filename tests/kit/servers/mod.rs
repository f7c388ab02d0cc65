//! RabbitMQ, PostgreSQL and Redis, real ones, as `.ci/servers` starts them.
//!
//! [`shared`] gives the three that every test may use, each test in a vhost, a database of its own ([`Shared::backends`]).
//! A test that wants to kill or freeze a server starts a private one ([`Server::start`]); it keeps its data until it is
//! dropped. [`reference_server`] is a tool server from npm or PyPI. What cannot be had fails the test, and never skips it.

mod backends;
mod private;
mod reference;
mod script;
mod shared;

pub use backends::{Backends, Database, RedisDatabase, Vhost};
pub use private::{Kind, Server};
pub use reference::{descendants, free_port, reference_server};
pub use shared::{Shared, shared};
