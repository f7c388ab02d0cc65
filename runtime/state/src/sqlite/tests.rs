//! The behaviour suite on SQLite, and what only SQLite can show.

use std::sync::Arc;

use greenroom_contract::{
    AgentId, Event, NodeId, TraceId,
    page::PageRequest,
    port::state::{Accepted, Arrival, Claim, DeadLetterFilter, Error, State, Submission, Wanted},
    status::ExecutionStatus,
};
use greenroom_sqlite::{Database, Failed};
use serde_json::json;

use super::{MIGRATIONS, SqliteState, job::Fault};
use crate::suite::{ManualClock, Stage};

async fn fresh() -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let db = Database::open(folder.path(), MIGRATIONS).unwrap();
    Stage::new(Arc::new(SqliteState::new(db, clock.clone())), clock, folder)
}

crate::state_suite!(fresh);

#[test]
fn every_behaviour_is_on_the_list() {
    let list = include_str!("../suite/list.rs");
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/suite")).unwrap();
    let mut seen = 0;
    for file in files {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for line in text.lines().filter(|line| line.ends_with("(stage: Stage) {")) {
            let name = line.trim_start_matches("pub async fn ").trim_end_matches("(stage: Stage) {");
            assert!(list.lines().any(|listed| listed.trim() == name), "{name} is not on the list");
            seen += 1;
        }
    }
    assert!(seen > 50, "only {seen} behaviours were found");
}

fn open(folder: &std::path::Path) -> (Database, SqliteState) {
    let db = Database::open(folder, MIGRATIONS).unwrap();
    let state = SqliteState::new(db.clone(), Arc::new(ManualClock::default()));
    (db, state)
}

fn arrival(agent: &AgentId, event: Event, claim: Option<NodeId>) -> Arrival {
    Arrival { agent: agent.clone(), version: "v1".to_owned(), event, claim }
}

fn event(agent: &AgentId) -> Event {
    Event::new(agent.input_topic(), "test", TraceId::new(), json!("work"))
}

async fn execute(db: &Database, sql: &'static str) {
    let done: Result<(), Fault> = db.write(move |conn| Ok(conn.execute_batch(sql)?)).await;
    done.unwrap();
}

#[tokio::test]
async fn what_was_accepted_is_there_after_the_file_was_closed() {
    let folder = tempfile::tempdir().unwrap();
    let (agent, node): (AgentId, _) = ("support".parse().unwrap(), NodeId::new("here"));
    let (waiting, running) = (event(&agent), event(&agent));
    let claimed = {
        let (_db, state) = open(folder.path());
        let submission = Submission { event: waiting.clone(), agent: Some(agent.clone()) };
        state.submit(submission).await.unwrap();
        let accepted = state.accept(arrival(&agent, running.clone(), Some(node.clone()))).await.unwrap();
        let Accepted::Claimed(claimed) = accepted else { panic!("{accepted:?}") };
        claimed
    };
    let (_db, state) = open(folder.path());
    assert_eq!(state.claim_outbox(&node, Wanted::Events(10), true).await.unwrap().len(), 1);
    assert_eq!(state.take_back(&node).await.unwrap(), 1);
    let again = state.claim(Claim { node, agent, limit: 10, ordered: false, lost: true, here: true }).await.unwrap();
    assert_eq!((again[0].fence.execution, again[0].fence.epoch), (claimed.fence.execution, 2));
    assert_eq!(again[0].event, running);
}

#[tokio::test]
async fn a_damaged_row_does_not_hold_up_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let (db, state) = open(folder.path());
    let (agent, node): (AgentId, _) = ("support".parse().unwrap(), NodeId::new("here"));
    let (bad, good) = (event(&agent), event(&agent));
    for event in [&bad, &good] {
        state.accept(arrival(&agent, event.clone(), None)).await.unwrap();
        state.submit(Submission { event: self::event(&agent), agent: None }).await.unwrap();
    }
    execute(&db, "UPDATE executions SET event = x'0107' WHERE seq = 1; UPDATE outbox SET body = '{}' WHERE id = 1")
        .await;

    let claim = Claim { node: node.clone(), agent, limit: 10, ordered: false, lost: true, here: true };
    let claimed = state.claim(claim).await.unwrap();
    assert_eq!(claimed.iter().map(|claimed| &claimed.event).collect::<Vec<_>>(), [&good]);
    let listed = state.executions(Default::default(), PageRequest::default()).await.unwrap().items;
    assert_eq!((listed.len(), listed[1].status), (2, ExecutionStatus::Failed));
    assert!(listed[1].input.as_str().unwrap().starts_with("(unreadable"));
    // The good row, and the news of the execution that was given up.
    assert_eq!(state.claim_outbox(&node, Wanted::Events(10), true).await.unwrap().len(), 2);
    let letters = state.dead_letters(DeadLetterFilter::default(), PageRequest::default()).await.unwrap().items;
    assert!(letters.len() == 2 && letters.iter().all(|letter| letter.reason.code == "unreadable"), "{letters:?}");
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (db, state) = open(folder.path());
    let agent: AgentId = "support".parse().unwrap();
    let kept = event(&agent);
    state.accept(arrival(&agent, kept.clone(), None)).await.unwrap();
    execute(&db, "PRAGMA max_page_count = 1").await;
    let large = Event { payload: json!("x".repeat(900_000)), ..event(&agent) };
    let refused = state.accept(arrival(&agent, large.clone(), None)).await.unwrap_err();
    let Error::Unavailable { reason } = &refused else { panic!("{refused:?}") };
    assert!(reason.contains("greenroom.db") && reason.contains("free some space"), "{reason}");
    execute(&db, "PRAGMA max_page_count = 1000000").await;
    state.accept(arrival(&agent, large, None)).await.unwrap();
    assert_eq!(state.backlog(&agent).await.unwrap().0, 2);
}

#[tokio::test]
async fn a_read_only_file_shows_in_the_health_check() {
    let folder = tempfile::tempdir().unwrap();
    let (db, state) = open(folder.path());
    state.health().await.unwrap();
    execute(&db, "PRAGMA query_only = 1").await;
    let refused = state.health().await.unwrap_err();
    assert!(matches!(&refused, Error::Unavailable { reason } if reason.contains("read-only")), "{refused:?}");
}

#[tokio::test]
async fn the_hot_questions_use_their_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let (db, _state) = open(folder.path());
    let plan = async |sql: String| {
        let lines: Result<Vec<String>, Fault> = db
            .read(move |conn| {
                let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let count = statement.parameter_count();
                let nothing = rusqlite::params_from_iter(vec![rusqlite::types::Null; count]);
                let lines = statement.query_map(nothing, |row| row.get(3))?;
                lines.collect::<rusqlite::Result<_>>().map_err(Failed::Sqlite)
            })
            .await;
        lines.unwrap().join("\n")
    };
    let take = plan(super::claim::TAKE.to_owned()).await;
    assert!(take.contains("executions_queued (agent=?)"), "{take}");
    assert!(take.contains("executions_running (agent=?)"), "{take}");
    let first = plan(super::claim::TAKE_FIRST.to_owned()).await;
    assert!(first.contains("executions_unfinished (agent=?)") && !first.contains("TEMP B-TREE"), "{first}");
    let lease = plan(super::relay::LEASE.to_owned()).await;
    assert!(lease.contains("outbox_due") && !lease.contains("TEMP B-TREE"), "{lease}");
    assert!(lease.contains("outbox_order (order_key=?"), "{lease}");
}

#[tokio::test]
async fn the_relays_question_is_planned_once() {
    let folder = tempfile::tempdir().unwrap();
    let (db, _state) = open(folder.path());
    let planned_again: Result<i32, Fault> = db
        .write(move |conn| {
            for round in 0..3_i64 {
                let mut statement = conn.prepare_cached(super::relay::LEASE)?;
                statement.query(rusqlite::params!["relay", round, 30, 10, true, "event"])?.next()?;
            }
            let statement = conn.prepare_cached(super::relay::LEASE)?;
            Ok(statement.get_status(rusqlite::StatementStatus::RePrepare))
        })
        .await;
    assert_eq!(planned_again.unwrap(), 0);
}
