//! The bus of a cluster, over RabbitMQ 3.10 and later.
//!
//! * `bus` is what others hold: the port's methods and the start;
//! * `link` is a supervised connection (one for publishing, one for everything else), `address` where it leads, `backoff`
//!   how long it waits, `call` a call with its deadline, `probe` asks what may cost a channel on a connection of its own;
//! * `topology` declares exchanges, queues and bindings and restores them, `young` keeps publications from queues that are
//!   too new to be durable, `names` says what everything is called, `queue` is what is asked about one queue, `old` follows
//!   those that were left for others with other arguments, `counts` counts;
//! * `publish` sends and waits for confirms, `message` is what goes over the wire;
//! * `consumer` owns a subscription's channel, `ledger` knows what is out, `token` is one delivery and its settling, `roster`
//!   knows all consumers;
//! * `ears` are broadcasts.

mod address;
mod backoff;
mod bus;
mod call;
mod consumer;
mod counts;
mod ears;
mod ledger;
mod lines;
mod link;
mod message;
mod names;
mod old;
mod options;
mod probe;
mod publish;
mod queue;
mod roster;
mod token;
mod topology;
mod turns;
mod young;

pub use bus::AmqpBus;
pub use options::Options;
