//! Chance, for waits.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A random number in 0..1 for backoffs and lifetimes: spreads what many would do at once, decides nothing else. A fresh hasher
/// is the standard library's only dice.
pub fn jitter() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    (random >> 11) as f64 / (1_u64 << 53) as f64
}
