//! The store on PostgreSQL: the port's behaviours, and what several nodes on one database may rely on.
#![expect(clippy::unwrap_used, reason = "a test fails where its store does")]

use std::{collections::HashSet, sync::Arc, time::Duration};

use greenroom_contract::{
    AgentId, Event, ExecutionId, NodeId, TraceId,
    execution::{Claimed, Effect, Intended, StepKind},
    page::PageRequest,
    port::state::{Accepted, Arrival, Claim, Error, OutboxOutcome, State, Submission, Wanted},
    status::ExecutionStatus,
    task,
};
use greenroom_state::{
    PostgresState,
    postgres::{Options, Time},
    suite::{ManualClock, Stage},
};
use kit::servers::{Database, shared};
use serde_json::json;
use sqlx::{Connection, PgConnection};

async fn fresh() -> Stage {
    let clock = Arc::new(ManualClock::default());
    let database = shared().database().await;
    let options = Options { time: Time::Given(clock.clone()), writers: 2, readers: 2, ..Options::default() };
    let state = PostgresState::connect(&database.url, options).await.unwrap();
    Stage::new(Arc::new(state), clock, database)
}

greenroom_state::state_suite!(fresh);

async fn connect(database: &Database) -> PostgresState {
    PostgresState::connect(&database.url, Options::default()).await.unwrap()
}

async fn ask(database: &Database, sql: &'static str) -> i64 {
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

fn agent() -> AgentId {
    "support".parse().unwrap()
}

fn arrival(claim: Option<&str>) -> Arrival {
    let event = Event::new(agent().input_topic(), "test", TraceId::new(), json!("work"));
    Arrival { agent: agent(), version: "v1".to_owned(), event, claim: claim.map(NodeId::new) }
}

async fn running(state: &PostgresState, node: &str) -> Claimed {
    match state.accept(arrival(Some(node))).await.unwrap() {
        Accepted::Claimed(claimed) => *claimed,
        other => panic!("expected a claimed execution, got {other:?}"),
    }
}

#[tokio::test]
async fn eight_nodes_bring_the_tables_up_at_once() {
    let database = shared().database().await;
    let nodes = futures::future::join_all((0..8).map(|_| connect(&database))).await;
    for (n, node) in nodes.iter().enumerate() {
        node.accept(arrival(None)).await.unwrap_or_else(|error| panic!("node {n}: {error}"));
    }
    assert_eq!(ask(&database, "SELECT count(*) FROM greenroom.executions").await, 8);
    assert_eq!(ask(&database, "SELECT count(*) - max(version) FROM greenroom.migrations").await, 0);
}

#[tokio::test]
async fn tables_of_a_later_version_are_refused() {
    let database = shared().database().await;
    drop(connect(&database).await);
    ask(&database, "INSERT INTO greenroom.migrations (version) VALUES (999) RETURNING 1::bigint").await;
    let refused = PostgresState::connect(&database.url, Options::default()).await.unwrap_err();
    assert!(matches!(&refused, Error::Corrupt { what } if what.contains("later version")), "{refused:?}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_without_telling_the_password() {
    for (url, schema) in [("mysql://u:hunter2@h/d", "greenroom"), ("postgres://u:hunter2@h/d", "x; DROP TABLE y")] {
        let options = Options { schema: schema.to_owned(), ..Options::default() };
        let refused = PostgresState::connect(url, options).await.unwrap_err();
        assert!(matches!(&refused, Error::Conflict { .. }), "{refused:?}");
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }
    let away = PostgresState::connect("postgres://u:hunter2@127.0.0.1:1/d", Options::default()).await.unwrap_err();
    let Error::Unavailable { reason } = &away else { panic!("{away:?}") };
    assert!(reason.contains("127.0.0.1:1/d") && !reason.contains("hunter2"), "{reason}");
}

/// Many stores race for what is due; none gets what another has, and all of it is given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_never_claim_the_same() {
    const ALL: usize = 200;
    let database = shared().database().await;
    let first = connect(&database).await;
    let accepted = futures::future::join_all((0..ALL).map(|_| first.accept(arrival(None)))).await;
    accepted.into_iter().for_each(|accepted| drop(accepted.unwrap()));
    let racers = (0..4).map(|n| {
        let url = database.url.clone();
        task::spawn("racer", async move {
            let node = NodeId::new(&format!("node-{n}"));
            let state = PostgresState::connect(&url, Options::default()).await.unwrap();
            state.heartbeat(&node, Duration::from_secs(60)).await.unwrap();
            let mut claimed = Vec::new();
            while state.backlog(&agent()).await.unwrap().0 > 0 {
                let claim =
                    Claim { node: node.clone(), agent: agent(), limit: 7, ordered: false, lost: true, here: true };
                claimed.extend(state.claim(claim).await.unwrap().into_iter().map(|claimed| claimed.fence.execution));
            }
            claimed
        })
    });
    let claimed: Vec<ExecutionId> =
        futures::future::join_all(racers).await.into_iter().flat_map(|claimed| claimed.unwrap()).collect();
    assert_eq!((claimed.len(), claimed.iter().collect::<HashSet<_>>().len()), (ALL, ALL));
}

/// Several relays share the outbox: each row goes out once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_relays_never_take_the_same_row() {
    const ALL: usize = 150;
    let database = shared().database().await;
    let first = connect(&database).await;
    let submit = |_| first.submit(Submission { event: arrival(None).event, agent: None });
    futures::future::join_all((0..ALL).map(submit)).await.into_iter().for_each(|done| drop(done.unwrap()));
    let relays = (0..3).map(|n| {
        let url = database.url.clone();
        task::spawn("relay", async move {
            let state = PostgresState::connect(&url, Options::default()).await.unwrap();
            let mut taken = Vec::new();
            for _ in 0..30 {
                let rows =
                    state.claim_outbox(&NodeId::new(&format!("relay-{n}")), Wanted::Events(10), true).await.unwrap();
                taken.extend(rows.iter().map(|row| row.id));
                let outcomes = rows.iter().map(|row| (row.id, OutboxOutcome::Published)).collect();
                state.settle_outbox(outcomes).await.unwrap();
            }
            taken
        })
    });
    let taken: Vec<_> = futures::future::join_all(relays).await.into_iter().flat_map(|taken| taken.unwrap()).collect();
    assert_eq!((taken.len(), taken.iter().collect::<HashSet<_>>().len()), (ALL, ALL));
    assert_eq!(ask(&database, "SELECT count(*) FROM greenroom.outbox").await, 0);
}

fn first_step(of: &Claimed) -> Intended {
    Intended {
        attempt: of.attempt,
        seq: 0,
        kind: StepKind::Tool,
        name: "tool".to_owned(),
        request_hash: "hash".to_owned(),
        idempotency_key: "key".to_owned(),
        effect: Effect::None,
    }
}

/// Writes that wait together are written together; one that is refused takes none of the others with it.
#[tokio::test]
async fn a_refused_write_leaves_its_neighbours_alone() {
    let database = shared().database().await;
    let state = PostgresState::connect(&database.url, Options { writers: 1, ..Options::default() }).await.unwrap();
    let claims = futures::future::join_all((0..40).map(|_| running(&state, "here"))).await;
    let lost = claims[7].fence.execution;
    state.cancel(lost, greenroom_contract::execution::Failure::new("cancelled", "for the test")).await.unwrap();
    let intend = |claimed: &Claimed| state.journal(claimed.fence, None, Some(first_step(claimed)));
    let answers = futures::future::join_all(claims.iter().map(intend)).await;
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(matches!(answer, Err(Error::Fenced)), n == 7, "{n}: {answer:?}");
    }
    assert_eq!(ask(&database, "SELECT count(*) FROM greenroom.steps").await, 39);
}

/// An outcome whose answer was lost is written again, and is paid once in the books.
#[tokio::test]
async fn a_settlement_may_be_repeated() {
    let database = shared().database().await;
    let state = connect(&database).await;
    let claimed = running(&state, "here").await;
    state.journal(claimed.fence, None, Some(first_step(&claimed))).await.unwrap();
    let settled = greenroom_contract::execution::Settled {
        attempt: 1,
        seq: 0,
        status: greenroom_contract::status::StepStatus::Settled,
        result: json!({ "answer": 1 }),
        usage: None,
        cost: Some(greenroom_contract::MicroUsd(5)),
        duration_ms: 1,
    };
    for _ in 0..2 {
        state.journal(claimed.fence, Some(settled.clone()), None).await.unwrap();
    }
    let since = claimed.event.timestamp;
    let spent = state.usage(since).await.unwrap();
    assert_eq!((&spent[0].0, spent[0].1.cost, spent.len()), (&agent(), greenroom_contract::MicroUsd(5), 1));
}

/// Leases are judged by the database's clock, whatever the nodes' clocks say.
#[tokio::test]
async fn a_dead_nodes_work_is_claimed_by_the_databases_clock() {
    let database = shared().database().await;
    let state = connect(&database).await;
    state.heartbeat(&NodeId::new("dead"), Duration::from_millis(300)).await.unwrap();
    let lost = running(&state, "dead").await.fence.execution;
    let heir = || Claim { node: NodeId::new("heir"), agent: agent(), limit: 1, ordered: false, lost: true, here: true };
    let found = kit::wait::seen("the lease runs out", kit::wait::PATIENCE, async || {
        state.claim(heir()).await.unwrap().pop().ok_or("it is not given")
    })
    .await;
    assert_eq!((found.fence.execution, found.fence.epoch, found.crashes), (lost, 2, 1));
    let listed = state.executions(Default::default(), PageRequest::default()).await.unwrap();
    assert_eq!(listed.items[0].status, ExecutionStatus::Running);
}
