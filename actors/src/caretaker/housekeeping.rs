//! Housekeeping: what is older than anybody wants to look at is deleted, a little at a time.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use greenroom_contract::{
    execution::Failure,
    port::state::{Error, Swept},
};
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

use crate::{ports::Ports, service::service, supervisor::ChildSpec};

/// How many executions go in one transaction: few enough that nobody waits long for its commit.
const BATCH: u32 = 500;
/// The pause after each, in which others write.
const BREATH: Duration = Duration::from_millis(25);
/// How long one call may take. What it did stands; the rest is done another time.
const CALL: Duration = Duration::from_secs(30);
/// Rounds in a row that may fail before it is worth a warning: while the store is away it cannot delete either.
const FAILURES: u32 = 3;

/// The duty as a service of the node: at its start and then every minute of UTC, what ended longer than `retention` ago is
/// deleted. Every orchestrator has it; while one is at it the store keeps the others out.
pub fn housekeeping(ports: Arc<Ports>, retention: Duration) -> ChildSpec {
    service("housekeeping", move |stop| {
        let ports = Arc::clone(&ports);
        async move {
            let (due, mut rounds) = mpsc::channel(1);
            let failed = |error: JobSchedulerError| Failure::new("timetable", error.to_string());
            let mut timetable = timetable(&ports, due).await.map_err(failed)?;
            let mut failures = 0;
            loop {
                failures = clean(&ports, retention, failures, &stop).await;
                tokio::select! {
                    () = stop.cancelled() => break,
                    round = rounds.recv() => if round.is_none() {
                        return Err(Failure::new("timetable", "the timetable has ended"));
                    },
                }
            }
            timetable.shutdown().await.map_err(failed)
        }
    })
}

/// Says once a minute that a round is due, each node at a second of its own. A round that is still going on is not joined
/// by another.
async fn timetable(ports: &Ports, due: mpsc::Sender<()>) -> Result<JobScheduler, JobSchedulerError> {
    let mut name = DefaultHasher::new();
    ports.node.as_str().hash(&mut name);
    let every_minute = format!("{} * * * * *", name.finish() % 60);
    let timetable = JobScheduler::new().await?;
    let round = Job::new(every_minute.as_str(), move |_, _| {
        due.try_send(()).ok();
    })?;
    timetable.add(round).await?;
    timetable.start().await?;
    Ok(timetable)
}

/// One round. Takes and returns how many rounds have failed in a row.
async fn clean(ports: &Ports, retention: Duration, failures: u32, stop: &CancellationToken) -> u32 {
    let mut sum = Swept::default();
    let result = loop {
        let before = ports.clock.now().checked_sub(retention).unwrap_or_default();
        match tokio::time::timeout(CALL, ports.state.sweep(before, BATCH)).await {
            Ok(Ok(swept)) => sum += swept,
            Ok(Err(error)) => break Err(error),
            Err(_) => break Err(Error::Unavailable { reason: format!("no answer within {CALL:?}") }),
        }
        if !sum.more || tokio::time::timeout(BREATH, stop.cancelled()).await.is_ok() {
            break Ok(());
        }
    };
    if !sum.is_nothing() || sum.freed_bytes > 0 {
        tracing::info!(
            executions = sum.executions,
            dead_letters = sum.dead_letters,
            versions = sum.versions,
            others = sum.others,
            freed_bytes = sum.freed_bytes,
            retention_s = retention.as_secs(),
            "Old history was deleted."
        );
    }
    let Err(error) = result else { return 0 };
    let failures = failures.saturating_add(1);
    if matches!(error, Error::Unavailable { .. }) && !failures.is_multiple_of(FAILURES) {
        // The monitor says when the store is down; the next round is as good.
        tracing::debug!(%error, "Old history could not be deleted now.");
    } else {
        tracing::warn!(%error, rounds = failures, "Old history cannot be deleted; it is tried again in a minute.");
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_timetable_says_when_a_round_is_due() {
        let (due, mut rounds) = mpsc::channel(1);
        let timetable = JobScheduler::new().await.unwrap();
        let second = Job::new("* * * * * *", move |_, _| {
            due.try_send(()).ok();
        });
        timetable.add(second.unwrap()).await.unwrap();
        timetable.start().await.unwrap();
        tokio::time::timeout(Duration::from_secs(30), rounds.recv()).await.unwrap().unwrap();
    }
}
