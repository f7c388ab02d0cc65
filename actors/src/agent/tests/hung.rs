use std::{sync::atomic::Ordering, time::Duration};

use greenroom_contract::status::AgentStatus;
use serde_json::json;
use tokio::time::Instant;

use crate::testing::{Bed, Fate};

/// The default of `limits.silence`, and what the calls' own net adds.
const LEASE: Duration = Duration::from_secs(65);

#[tokio::test(start_paused = true)]
async fn a_silent_run_is_killed_within_ten_seconds_of_its_lease_and_its_message_done_once_more() {
    let bed = Bed::paused().await;
    bed.agent("quiet", "").await;
    let start = Instant::now();
    bed.send("quiet", "hang once");
    bed.until("the first run to be given back", || bed.store.fates().iter().any(|(_, _, crashes)| *crashes == 1)).await;
    let killed = start.elapsed();
    assert!(killed > LEASE && killed < LEASE + Duration::from_secs(10), "killed after {killed:?}");
    bed.until("the second run to succeed", || bed.store.fates()[0].0 == Fate::Succeeded(json!("done"))).await;
    assert!(start.elapsed() < LEASE + Duration::from_secs(12), "a replacement serves soon");
    assert_eq!(bed.store.fates(), [(Fate::Succeeded(json!("done")), 2, 1)], "under the next epoch, the same attempt");
    assert_eq!(bed.script.runs.load(Ordering::SeqCst), 2);
    let failures = bed.place("agents/quiet").failures;
    assert_eq!(failures[0].failure.code, "hung");
    assert!(failures[0].failure.message.contains("between calls"), "it says what it was doing: {failures:?}");
    assert_eq!((bed.place("agents/quiet/0").kills, bed.view("quiet").restarts), (1, 1), "a kill counts as abnormal");
    assert_eq!(bed.place("agents/quiet").quarantined, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_five_minutes_is_healthy_and_the_shell_answers_all_the_while() {
    let bed = Bed::paused().await;
    bed.agent("talker", "limits: {timeout: 10m}\nsupervision: {ping_every: 5s}").await;
    bed.send("talker", "stream");
    bed.status("talker", AgentStatus::Running).await;
    let mut pings = 0;
    let mut last = None;
    bed.until("the stream to end", || {
        let ping = bed.view("talker").ping;
        if ping.last_pong != last {
            last = ping.last_pong;
            pings += 1;
            assert!(ping.rtt_us.is_some_and(|rtt| rtt < 1_000_000), "{ping:?}");
        }
        bed.store.fates()[0].0 == Fate::Succeeded(json!("done"))
    })
    .await;
    assert!(pings >= 50, "answered {pings} times");
    assert_eq!(bed.view("talker").restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_gives_signs_of_life_is_waited_for() {
    let bed = Bed::paused().await;
    bed.agent("worker", "limits: {timeout: 10m, tool_timeout: 40s}").await;
    bed.send("worker", "use the busy tool");
    let done = || Fate::Succeeded(json!("busy no more"));
    bed.until("the tool to be done", || bed.store.fates().iter().any(|fate| fate.0 == done())).await;
    assert_eq!(bed.view("worker").restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_when_asked_is_not_killed() {
    let bed = Bed::paused().await;
    bed.agent("polite", "").await;
    bed.send("polite", "polite");
    bed.until("the run to be given back", || bed.store.fates().iter().any(|(_, _, crashes)| *crashes >= 1)).await;
    assert_eq!(bed.place("agents/polite/0").kills, 0);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_store_that_is_away_is_not_hanging() {
    let bed = Bed::paused().await;
    bed.agent("patient", "").await;
    bed.send("patient", "wait");
    bed.status("patient", AgentStatus::Running).await;
    bed.store.away.store(true, Ordering::SeqCst);
    bed.script.go.notify_one();
    tokio::time::sleep(Duration::from_secs(1800)).await;
    assert_eq!(bed.view("patient").restarts, 0);
    bed.store.away.store(false, Ordering::SeqCst);
    bed.until("it to end", || bed.store.fates()[0] == (Fate::Succeeded(json!("done")), 1, 0)).await;
}
