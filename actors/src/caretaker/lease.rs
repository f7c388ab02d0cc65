//! The node's lease as this process knows it, by a clock that no other machine can set.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How long a node's lease holds without being renewed; then others take up its executions.
pub const LEASE: Duration = Duration::from_secs(4);

/// When the lease was renewed, and what follows for the work of others.
///
/// What this node itself runs needs no lease here: each of its writes names its claim and is refused once another was made.
/// So nothing is stopped when the lease runs out; a call that returns while the store is away is written when it is back.
#[derive(Debug)]
pub struct Lease(Mutex<Times>);

#[derive(Debug)]
struct Times {
    /// When the last renewal that succeeded was begun.
    renewed: Instant,
    /// From when on the leases of others say something.
    steady: Instant,
}

impl Default for Lease {
    fn default() -> Self {
        let now = Instant::now();
        Self(Mutex::new(Times { renewed: now, steady: now + LEASE }))
    }
}

impl Lease {
    /// A renewal that was begun then has succeeded.
    pub(super) fn renewed(&self, begun: Instant) {
        let mut times = self.lock();
        if begun.saturating_duration_since(times.renewed) > LEASE {
            tracing::warn!("The node has its lease again; what others have claimed meanwhile is theirs.");
            times.steady = begun + LEASE;
        }
        times.renewed = begun;
    }

    /// Whether another node whose lease has run out may be taken for dead. A node that could not renew its own, or has just
    /// started, cannot know whether the store was away from all: it gives them the time of a lease to come back first.
    pub(crate) fn judges_others(&self) -> bool {
        let (now, times) = (Instant::now(), self.lock());
        now >= times.steady && now.saturating_duration_since(times.renewed) <= LEASE
    }

    fn lock(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn beat(lease: &Lease, times: u32) {
        for _ in 0..times {
            tokio::time::advance(Duration::from_secs(1)).await;
            lease.renewed(Instant::now());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_who_has_held_its_own_lease_for_as_long_takes_others_for_dead() {
        let lease = Lease::default();
        beat(&lease, 3).await;
        assert!(!lease.judges_others(), "it has just started");
        beat(&lease, 1).await;
        assert!(lease.judges_others());
        tokio::time::advance(LEASE).await;
        assert!(lease.judges_others(), "its own lease holds");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!lease.judges_others(), "its own lease has run out");
        lease.renewed(Instant::now());
        beat(&lease, 3).await;
        assert!(!lease.judges_others(), "others need time to come back, too");
        beat(&lease, 1).await;
        assert!(lease.judges_others());
    }
}
