//! Rates, as whole numbers: what is summed up for thousands of calls must not drift.

use serde::{Deserialize, Deserializer};

/// What tokens cost, each, in picodollars.
///
/// The data is in US dollars per million tokens, which is the same number as microdollars per token, and a million times
/// as many picodollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Rates {
    #[serde(deserialize_with = "picodollars")]
    pub(super) input: u64,
    #[serde(deserialize_with = "picodollars")]
    pub(super) output: u64,
    /// Absent: the provider gives no discount, a cached token costs what a fresh one costs.
    #[serde(default, deserialize_with = "some_picodollars")]
    pub(super) cache_read: Option<u64>,
    /// Absent: the provider does not charge extra for writing.
    #[serde(default, deserialize_with = "some_picodollars")]
    pub(super) cache_write: Option<u64>,
    /// Absent where writing for minutes has a price: nobody knows what an hour costs.
    #[serde(default, deserialize_with = "some_picodollars")]
    pub(super) cache_write_1h: Option<u64>,
}

/// From dollars per million tokens.
pub(super) fn per_token(dollars_per_million: f64) -> u64 {
    // No price has more than six digits behind its point, so the rounding only takes away what a float cannot hold.
    (dollars_per_million.max(0.0) * 1e6).round() as u64
}

fn picodollars<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    f64::deserialize(from).map(per_token)
}

fn some_picodollars<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.map(per_token))
}
