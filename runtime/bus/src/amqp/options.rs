//! How the bus behaves, and the times that are not for the operator to set.

use std::time::Duration;

/// How long any call to the broker may take that has no time of its own.
pub(super) const CALL: Duration = Duration::from_secs(5);
/// How long the making of a connection may take, with its handshake.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// How long a topic whose queue did not confirm is published apart from the others.
pub(super) const SUSPICION: Duration = Duration::from_secs(60);
/// Bodies above this are published apart: a broker may refuse them by closing the channel.
pub(super) const LARGE: usize = 1 << 20;
/// More than this a subscription is never given, whatever it asks for; the broker counts in 16 bits.
pub(super) const LARGEST_PREFETCH: usize = 10_000;
/// The broker's own delivery limit. It counts what this process cannot: consumers that died with a delivery in hand. Such a
/// message takes its neighbours' counts along, so the net hangs low.
pub(super) const BROKER_DELIVERY_LIMIT: i32 = 50;
/// How many unrouted facts are kept for whoever wonders where they went.
pub(super) const UNROUTED_KEPT: i32 = 1_000;

/// How the bus behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// What the broker's tools call the connections.
    pub name: String,
    /// How often each side shows that it is alive; a silence of twice this ends the connection. In whole seconds.
    pub heartbeat: Duration,
    /// How many rejections bring a message to the dead letters.
    pub delivery_limit: u32,
    /// How old a queue must be before anything is published into it. A confirm of a younger queue is not durable: RabbitMQ
    /// 3.10 to 4.3 lose it when they are killed within the first second.
    pub settle: Duration,
    /// How long the broker may take to confirm a publication.
    pub confirm_deadline: Duration,
    /// How long a publication waits while the broker blocks publishers (out of memory or disk).
    pub patience: Duration,
    /// How many publications may be unconfirmed at a time.
    pub window: usize,
    /// How many subscriptions share a connection. Each has a channel, and a broker allows 2,047 on a connection unless it is
    /// told otherwise; some stay free for what comes and goes.
    pub subscriptions_per_connection: usize,
    /// The wait before a lost connection is made again, at first.
    pub first_wait: Duration,
    /// The same at most; it doubles from one to the other, with jitter.
    pub longest_wait: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "greenroom".to_owned(),
            heartbeat: Duration::from_secs(5),
            delivery_limit: crate::DELIVERY_LIMIT,
            settle: Duration::from_secs(2),
            confirm_deadline: Duration::from_secs(5),
            patience: Duration::from_secs(2),
            window: 1_000,
            subscriptions_per_connection: 1_500,
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_secs(10),
        }
    }
}
