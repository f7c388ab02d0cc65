//! What was asked for.

use clap::Args;

/// `greenroom selftest`.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Selftest {
    /// Kill nodes with `kill -9` while they work. The only test there is; to be said, because it starts processes and, where
    /// GREENROOM_AMQP_URL, GREENROOM_DATABASE_URL and GREENROOM_REDIS_URL are set, uses those servers.
    #[arg(long, required = true)]
    pub(super) chaos: bool,
    /// How many nodes. Without servers there is one.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(super) nodes: u32,
    /// How many kills.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub(super) kills: u32,
    /// By which chance decides; a number of the run's own without it, printed.
    #[arg(long)]
    pub(super) seed: Option<u64>,
    /// How many events.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) events: u32,
}
