//! The cluster's backends, on real servers. A server that cannot be had fails these tests.

mod bus_breaks;
mod bus_on_rabbitmq;
mod cache;
mod conversations;
mod kill_matrix;
mod nodes;
mod outages;
mod random_kills;
mod redis_tier;
mod retention;
mod shared_queues;
mod state_on_postgres;
mod state_on_postgres_in_trouble;
mod takeover;
mod versioned_queues;
mod zombies;

/// How long a story waits for what takes a lease, a reconnection or a server's start.
const LONG: std::time::Duration = kit::wait::PATIENCE;
