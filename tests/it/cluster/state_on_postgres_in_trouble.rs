//! The store on PostgreSQL while callers are dropped, connections break, and the server is killed or frozen.
#![expect(clippy::unwrap_used, reason = "a test fails where its store does")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use greenroom_contract::{
    AgentId, Event, ExecutionId, NodeId, TraceId,
    execution::{Effect, Intended, Settled, StepKind},
    port::state::{Accepted, Arrival, Claim, Conclusion, Error, Finish, State, Submission},
    status::{ExecutionStatus, StepStatus},
    task,
};
use greenroom_state::{PostgresState, postgres::Options};
use kit::{
    proxy::Proxy,
    servers::{Kind, Server, shared},
    wait,
};
use serde_json::json;

/// Longer than any recovery takes, and than a claim that reached nobody is looked for.
const LIMIT: Duration = wait::PATIENCE;

/// Time-outs that a test can wait for.
fn hasty() -> Options {
    let (acquire, statement) = (Duration::from_millis(500), Duration::from_millis(500));
    Options { acquire, statement, ..Options::default() }
}

fn agent() -> AgentId {
    "support".parse().unwrap()
}

fn event() -> Event {
    Event::new(agent().input_topic(), "test", TraceId::new(), json!("work"))
}

fn arrival(event: &Event, claim: Option<&str>) -> Arrival {
    let claim = claim.map(NodeId::new);
    Arrival { agent: agent(), version: "v1".to_owned(), event: event.clone(), claim }
}

/// Accepts for `node` until the store answers, as a feeder does.
async fn accept(state: &PostgresState, event: &Event, node: &str) -> Accepted {
    wait::seen("the arrival is taken in", LIMIT, async || state.accept(arrival(event, Some(node))).await).await
}

/// The callers of many writes are dropped, each after another number of polls. What was answered with `Ok` is there, and
/// the store goes on as if nothing had happened. (With sqlx 0.9.0's pool some of them are lost: transact-rs/sqlx#4385.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_callers_lose_nothing_that_was_answered() {
    let database = shared().database().await;
    let state = PostgresState::connect(&database.url, Options { writers: 2, ..Options::default() }).await.unwrap();
    for round in 0..15_u64 {
        let writes = (0..20_u64).map(|n| {
            let state = state.clone();
            task::spawn("caller", async move {
                let event = event();
                let patience = Duration::from_micros(round * 150 + n * 70);
                let submission = Submission { event: event.clone(), agent: Some(agent()) };
                match tokio::time::timeout(patience, state.submit(submission)).await {
                    Ok(answer) => answer.map(|_| Some(event)).unwrap(),
                    Err(_) => None,
                }
            })
        });
        for answered in futures::future::join_all(writes).await {
            let Some(event) = answered.unwrap() else { continue };
            let shown = state.execution(ExecutionId::of(&agent(), event.event_id)).await.unwrap();
            assert!(shown.is_some(), "round {round}: a submission that was answered is not there");
        }
    }
}

/// A claim whose caller has gone is nobody's: it is given back, and another gets it.
#[tokio::test]
async fn a_claim_for_nobody_is_given_back() {
    let database = shared().database().await;
    let state = PostgresState::connect(&database.url, Options::default()).await.unwrap();
    state.heartbeat(&NodeId::new("here"), Duration::from_secs(300)).await.unwrap();
    let events: Vec<Event> = (0..10).map(|_| event()).collect();
    for event in &events {
        let mut dropped = state.accept(arrival(event, Some("here")));
        // Polled once: handed in, and not awaited.
        assert!(futures::poll!(&mut dropped).is_pending());
    }
    let mut found = 0;
    wait::until("all of them are claimed again", LIMIT, async || {
        let claim =
            Claim { node: NodeId::new("here"), agent: agent(), limit: 10, ordered: false, lost: true, here: true };
        let claimed = state.claim(claim).await.unwrap();
        assert!(claimed.iter().all(|claimed| claimed.crashes == 0), "it never began, and counts as a crash");
        found += claimed.len();
        found == events.len()
    })
    .await;
}

/// Connections break at any moment of a claim. Afterwards each event is either in somebody's hands or waits to be claimed:
/// none is marked as running with nobody at it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_is_stranded_when_connections_break() {
    let database = shared().database().await;
    let proxy = Proxy::before(&database.url).await;
    let state = PostgresState::connect(proxy.url(), Options { writers: 2, ..hasty() }).await.unwrap();
    wait::seen("the lease is written", LIMIT, async || {
        state.heartbeat(&NodeId::new("here"), Duration::from_secs(300)).await
    })
    .await;
    let events: Vec<Event> = (0..120).map(|_| event()).collect();
    let mut held = std::collections::HashSet::new();
    for (n, batch) in events.chunks(6).enumerate() {
        if n % 2 == 1 {
            proxy.slow(Duration::from_millis(1));
            let breaker = async {
                tokio::task::yield_now().await;
                proxy.reset();
            };
            let accepts = batch.iter().map(|event| state.accept(arrival(event, Some("here"))));
            let (answers, ()) = futures::join!(futures::future::join_all(accepts), breaker);
            let claimed = answers.into_iter().filter_map(|answer| match answer {
                Ok(Accepted::Claimed(claimed)) => Some(claimed.fence.execution),
                _ => None,
            });
            held.extend(claimed);
        }
        // What was refused is delivered again.
        for event in batch {
            if let Accepted::Claimed(claimed) = accept(&state, event, "here").await {
                assert!(held.insert(claimed.fence.execution), "an execution was given twice");
            }
        }
    }
    proxy.heal();
    wait::until("nothing is stranded", LIMIT, async || {
        let claim =
            Claim { node: NodeId::new("here"), agent: agent(), limit: 50, ordered: false, lost: true, here: true };
        for claimed in state.claim(claim).await.unwrap_or_default() {
            assert!(held.insert(claimed.fence.execution), "an execution was given twice");
        }
        held.len() == events.len()
    })
    .await;
}

/// While the server is away, calls fail soon and say where it should be; when it is back the next one succeeds, and
/// everything that was answered is there.
#[tokio::test]
async fn the_store_outlives_its_server() {
    let mut server = Server::start(Kind::Postgres).await;
    let state = PostgresState::connect(server.url(), hasty()).await.unwrap();
    let mut answered = Vec::new();
    for hard in [true, false] {
        let event = event();
        accept(&state, &event, "here").await;
        answered.push(event);
        if hard {
            server.kill().await
        } else {
            server.stop().await
        }
        for refused in [
            state.health().await.unwrap_err(),
            state.backlog(&agent()).await.unwrap_err(),
            state.accept(arrival(&answered[0], None)).await.unwrap_err(),
        ] {
            assert!(
                matches!(&refused, Error::Unavailable { reason } if reason.contains("PostgreSQL at ")),
                "{refused:?}"
            );
        }
        server.start_again().await;
        wait::seen("the store is back", LIMIT, async || state.health().await).await;
        for event in &answered {
            let shown = state.execution(ExecutionId::of(&agent(), event.event_id)).await.unwrap().unwrap();
            assert_eq!(shown.status, ExecutionStatus::Running);
        }
    }
}

/// A server that stands still holds nobody up for longer than the time-outs, and is used again when it moves.
#[tokio::test]
async fn a_frozen_server_is_unavailable() {
    let server = Server::start(Kind::Postgres).await;
    let state = PostgresState::connect(server.url(), hasty()).await.unwrap();
    state.health().await.unwrap();
    server.freeze();
    let (write, read) = tokio::join!(state.health(), state.backlog(&agent()));
    server.thaw();
    for refused in [write.unwrap_err(), read.unwrap_err()] {
        assert!(matches!(refused, Error::Unavailable { .. }), "{refused:?}");
    }
    wait::seen("the store is back", LIMIT, async || state.health().await).await;
    assert_eq!(state.backlog(&agent()).await.unwrap().0, 0);
}

/// What one caller was told.
#[derive(Default)]
struct Told {
    taken: Vec<ExecutionId>,
    finished: Vec<ExecutionId>,
}

/// Writes one thing after the other until the store does not answer.
async fn write_on(state: PostgresState, done: Arc<AtomicUsize>) -> Told {
    let mut told = Told::default();
    let ours = NodeId::new("here");
    loop {
        let event = event();
        let id = ExecutionId::of(&agent(), event.event_id);
        if state.submit(Submission { event: event.clone(), agent: Some(agent()) }).await.is_err() {
            return told;
        }
        told.taken.push(id);
        let Ok(Accepted::Claimed(claimed)) = state.accept(arrival(&event, Some(ours.as_str()))).await else {
            return told;
        };
        let call = |seq, effect| Intended {
            attempt: 1,
            seq,
            kind: StepKind::Llm,
            name: "model".to_owned(),
            request_hash: "00".to_owned(),
            idempotency_key: format!("{id}/1/{seq}"),
            effect,
        };
        let settled = |seq| Settled {
            attempt: 1,
            seq,
            status: StepStatus::Settled,
            result: json!("said"),
            usage: None,
            cost: None,
            duration_ms: 1,
        };
        // The first need not be on the disk; the second is with it.
        let wrote = async {
            state.journal(claimed.fence, None, Some(call(0, Effect::None))).await?;
            state.journal(claimed.fence, Some(settled(0)), Some(call(1, Effect::AtMostOnce))).await?;
            let end = Finish { settle: Some(settled(1)), ..Finish::of(Conclusion::Succeeded(json!("done"))) };
            state.finish(claimed.fence, end).await
        };
        if wrote.await.is_err() {
            return told;
        }
        told.finished.push(id);
        done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Writes of several kinds wait together for the disk, once. Whatever was answered when the server is killed in the midst of
/// them is there when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_on_the_disk_when_the_server_is_killed_under_load() {
    let mut server = Server::start(Kind::Postgres).await;
    let state = PostgresState::connect(server.url(), hasty()).await.unwrap();
    for round in 0..3 {
        let done = Arc::<AtomicUsize>::default();
        let callers: Vec<_> =
            (0..16).map(|_| task::spawn("caller", write_on(state.clone(), Arc::clone(&done)))).collect();
        wait::until("work to be done", LIMIT, async || done.load(Ordering::Relaxed) > 200).await;
        server.kill().await;
        let told: Vec<Told> = futures::future::join_all(callers).await.into_iter().map(Result::unwrap).collect();
        server.start_again().await;
        wait::seen("the store is back", LIMIT, async || state.health().await).await;
        for Told { taken, finished } in told {
            for id in &taken {
                let shown = state.execution(*id).await.unwrap();
                assert!(shown.is_some(), "round {round}: {id} was taken in and is not there");
            }
            for id in &finished {
                let shown = state.execution(*id).await.unwrap().unwrap();
                assert_eq!(shown.status, ExecutionStatus::Succeeded, "round {round}: {id}");
                assert_eq!(state.steps(*id).await.unwrap().len(), 2, "round {round}: {id}");
            }
        }
    }
}
