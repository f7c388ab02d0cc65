//! Faults on purpose.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

/// The switches of one port.
#[derive(Debug, Default)]
pub struct Faults {
    unavailable: AtomicBool,
    latency_ms: AtomicU64,
    refused: AtomicU64,
}

impl Faults {
    /// Every call fails as unavailable from now on, or works again.
    pub fn unavailable(&self, yes: bool) {
        self.unavailable.store(yes, Ordering::SeqCst);
    }

    /// Every answer takes so long from now on. What is asked for happens at once; only the answer is late.
    pub fn latency(&self, each: Duration) {
        self.latency_ms.store(each.as_millis() as u64, Ordering::SeqCst);
    }

    /// How many calls were refused so far.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::SeqCst)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if !self.unavailable.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.refused.fetch_add(1, Ordering::SeqCst);
        Err("it is switched off by the test".to_owned())
    }

    /// The answer's way back. It is never there at the first poll, as with a real server.
    pub(super) async fn answer(&self) {
        match self.latency_ms.load(Ordering::SeqCst) {
            0 => tokio::task::yield_now().await,
            millis => tokio::time::sleep(Duration::from_millis(millis)).await,
        }
    }
}
