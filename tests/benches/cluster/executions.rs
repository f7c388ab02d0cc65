//! Executions per second and their latency from submission to their final state, at a model that takes no time: a whole
//! node, the same durable work by hand, and Celery.

use std::{
    future::Future,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use kit::{servers::Shared, wait};

use crate::{
    Outcome,
    celery::Celery,
    node::Greenroom,
    raw::Raw,
    say,
    stats::{Round, Summary},
};

const ROUNDS: usize = 5;
/// Callers at a time, and executions in one round.
const SIZES: [(usize, usize); 3] = [(1, 300), (16, 1600), (64, 2560)];
/// Celery gets shorter rounds: each takes as long as one of ours.
const CELERY_SHARE: usize = 8;
const AIM_OF_RAW: f64 = 0.7;
const AIM_OF_CELERY: f64 = 5.0;

pub(crate) async fn measure(servers: &Shared, peers: bool) -> Outcome<()> {
    let raw = Raw::start(servers).await?;
    let node = Greenroom::start(servers, "execution_mode: autonomous\nconcurrency: 64").await?;
    let mut peers = if peers { celery(servers).await } else { Vec::new() };
    // Connections, plans and caches are warm after this, and the new queues old enough.
    for callers in [1, 16] {
        round(callers, 320, || raw.one()).await?;
        round(callers, 320, || node.one(None)).await?;
    }
    say(&format!("executions, submission → final state, no model time; medians of {ROUNDS} interleaved rounds"));
    for (callers, size) in SIZES {
        let (mut by_hand, mut ours, mut theirs) = (Vec::new(), Vec::new(), vec![Vec::new(); peers.len()]);
        for _ in 0..ROUNDS {
            by_hand.push(round(callers, size, || raw.one()).await?);
            wait::until("the raw outbox to be empty", Duration::from_secs(30), async || {
                raw.is_empty().await.unwrap_or(false)
            })
            .await;
            ours.push(round(callers, size, || node.one(None)).await?);
            for ((_, celery), rounds) in peers.iter_mut().zip(&mut theirs) {
                rounds.push(celery.round(size / CELERY_SHARE, callers).await?);
            }
        }
        let (by_hand, ours) = (Summary::of(&by_hand), Summary::of(&ours));
        say(&format!("  {callers:>2} at a time   by hand    {by_hand}"));
        say(&format!(
            "                greenroom  {ours}   {:.2} of by hand   aim {AIM_OF_RAW}",
            ours.rate / by_hand.rate
        ));
        for ((name, _), rounds) in peers.iter().zip(&theirs) {
            let theirs = Summary::of(rounds);
            let times = ours.rate / theirs.rate;
            say(&format!(
                "                {name:<10} {theirs}   greenroom {times:.1} times that   aim {AIM_OF_CELERY}"
            ));
        }
    }
    node.stop().await;
    Ok(())
}

/// Celery as most run it, and with results that are on the disk when they are told.
async fn celery(servers: &Shared) -> Vec<(&'static str, Celery)> {
    let mut started = Vec::new();
    for (name, durable) in [("celery", false), ("  fsync", true)] {
        match Celery::start(servers, durable).await {
            Ok(celery) => started.push((name, celery)),
            Err(missing) => say(&format!("Celery is NOT measured: {missing}")),
        }
    }
    started
}

/// So many executions by so many callers, each of whom has one at a time.
async fn round<F: Future<Output = Outcome<Duration>>>(
    callers: usize,
    size: usize,
    one: impl Fn() -> F,
) -> Outcome<Round> {
    let begun = AtomicUsize::new(0);
    let caller = async || {
        let mut latencies = Vec::new();
        while begun.fetch_add(1, Ordering::Relaxed) < size {
            latencies.push(one().await?);
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(latencies)
    };
    let start = Instant::now();
    let latencies = try_join_all((0..callers).map(|_| caller())).await?;
    Ok(Round { took: start.elapsed(), latencies: latencies.concat() })
}
