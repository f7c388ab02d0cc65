//! The cluster's backends, on real servers. A server that cannot be had fails these tests.

mod bus_breaks;
mod bus_on_rabbitmq;
mod redis_tier;
mod state_on_postgres;
mod state_on_postgres_in_trouble;
mod takeover;
