//! Services that do something now and then.

use std::{future::Future, time::Duration};

use tokio::time::MissedTickBehavior;

use super::service;
use crate::supervisor::ChildSpec;

/// A service that does `work` once each `period`, the first time at once. Work that takes longer delays the next; it is not
/// broken off by a stop.
pub(crate) fn every<F, Fut>(name: &'static str, period: Duration, work: F) -> ChildSpec
where
    F: Fn() -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    service(name, move |stop| {
        let work = work.clone();
        async move {
            let mut tick = tokio::time::interval(period);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    _ = tick.tick() => work().await,
                }
            }
        }
    })
}
