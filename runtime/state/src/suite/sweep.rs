//! Housekeeping: what is old goes, and what anybody still needs stays.

use std::time::Duration;

use greenroom_contract::{
    AgentId, Clock, Event, ExecutionId,
    clock::{from_millis, to_millis},
    page::PageRequest,
    port::state::{Accepted, Arrival, DeadLetterFilter, Error, Swept},
    status::ExecutionStatus,
};
use jiff::Timestamp;
use serde_json::json;

use super::{
    Stage,
    stage::{agent, command, ended, event_for, event_of, node, secs, succeeded},
};

const DAY: Duration = Duration::from_hours(24);

/// Deletes what ended before a moment. A store may take two calls, a minute apart.
async fn sweep(stage: &Stage, before: Timestamp) -> Swept {
    let mut sum = Swept::default();
    for _ in 0..2 {
        loop {
            sum += stage.state.sweep(before, 3).await.unwrap();
            if !sum.more {
                break;
            }
        }
        stage.clock.advance(secs(61));
    }
    sum
}

/// So long ago by the stage's clock.
fn ago(stage: &Stage, ago: Duration) -> Timestamp {
    from_millis(to_millis(stage.clock.now()) - i64::try_from(ago.as_millis()).unwrap())
}

/// An execution that has ended, with a step.
async fn done(stage: &Stage, agent: &AgentId) -> (ExecutionId, Event) {
    let claimed = stage.running(agent, &node("here")).await;
    stage.step(&claimed, 0, None).await;
    stage.finish(&claimed, succeeded()).await;
    (claimed.fence.execution, claimed.event)
}

/// Whether an execution is in the list. One that is asked for by its id may still be known to a cache.
async fn is_listed(stage: &Stage, id: ExecutionId) -> bool {
    let listed = stage.state.executions(Default::default(), PageRequest::default()).await.unwrap().items;
    listed.iter().any(|execution| execution.id == id)
}

async fn again(stage: &Stage, agent: &AgentId, event: &Event) -> Accepted {
    let arrival = Arrival { agent: agent.clone(), version: "v1".to_owned(), event: event.clone(), claim: None };
    stage.state.accept(arrival).await.unwrap()
}

/// With its journal, whichever way it ended. What is younger or goes on stays.
pub async fn what_ended_long_ago_is_deleted(stage: Stage) {
    let support = agent("support");
    let mut old = Vec::new();
    for _ in 0..7 {
        old.push(done(&stage, &support).await.0);
    }
    let cancelled = stage.running(&support, &node("here")).await;
    stage.finish(&cancelled, ended(ExecutionStatus::Cancelled)).await;
    old.push(cancelled.fence.execution);
    let unfinished = stage.running(&support, &node("here")).await;
    let queued = stage.arrive(&support, event_for(&support, json!("later"))).await;
    stage.clock.advance(2 * DAY);
    let (young, _) = done(&stage, &support).await;

    assert!(sweep(&stage, ago(&stage, 3 * DAY)).await.is_nothing(), "nothing is so old");
    assert_eq!(sweep(&stage, ago(&stage, DAY)).await.executions, 8);
    for id in old {
        assert!(stage.state.steps(id).await.unwrap().is_empty());
    }
    let left = stage.state.executions(Default::default(), PageRequest::default()).await.unwrap().items;
    let left: Vec<_> = left.iter().map(|execution| execution.id).collect();
    assert_eq!(left, [young, queued, unfinished.fence.execution]);
    assert_eq!(stage.state.steps(young).await.unwrap().len(), 1);
    stage.finish(&unfinished, succeeded()).await;
    assert!(sweep(&stage, ago(&stage, DAY)).await.is_nothing());
}

/// Its event runs no second time, by whichever way it comes.
pub async fn a_duplicate_of_what_was_deleted_is_still_one(stage: Stage) {
    let support = agent("support");
    let submission = command(&support, json!("once"));
    stage.state.submit(submission.clone()).await.unwrap();
    let event = event_of(&stage.due().await[0]).clone();
    let id = stage.arrive(&support, event.clone()).await;
    let claimed = stage.claim_one(&support, &node("here")).await;
    stage.finish(&claimed, succeeded()).await;
    stage.clock.advance(DAY);
    assert_eq!(sweep(&stage, ago(&stage, secs(1))).await.executions, 1);

    for _ in 0..2 {
        let answer = again(&stage, &support, &event).await;
        assert!(matches!(answer, Accepted::Duplicate(found) if found == id), "got {answer:?}");
    }
    let repeated = stage.state.submit(submission.clone()).await;
    assert!(matches!(repeated, Err(Error::Conflict { .. })), "got {repeated:?}");
    assert!(stage.due().await.is_empty() && stage.claim(&support, &node("here"), 10).await.is_empty());
    // Another agent never had it.
    assert!(matches!(again(&stage, &agent("other"), &event).await, Accepted::Queued(_)));

    // After a year and a day nothing is known of it any more.
    stage.clock.advance(367 * DAY);
    assert!(sweep(&stage, ago(&stage, DAY)).await.others >= 1);
    assert!(matches!(again(&stage, &support, &event).await, Accepted::Queued(_)));
}

/// Its event on its way to another agent, or a dead letter that waits for a decision: its history is needed.
pub async fn what_is_waited_for_is_not_deleted(stage: Stage) {
    let (support, other, here) = (agent("support"), agent("other"), node("here"));
    // The other agent has had the event; the agent that it was meant for has not.
    let event = stage.submit(&support, json!(1)).await.event;
    let heard = stage.arrive(&other, event.clone()).await;
    let claimed = stage.claim_one(&other, &here).await;
    stage.finish(&claimed, succeeded()).await;
    let dead = stage.running(&support, &here).await;
    stage.finish(&dead, ended(ExecutionStatus::Dead)).await;
    stage.clock.advance(9 * DAY);
    let letters = stage.state.dead_letters(DeadLetterFilter::default(), PageRequest::default()).await.unwrap().items;
    assert_eq!(letters.len(), 1);
    assert!(sweep(&stage, ago(&stage, DAY)).await.is_nothing());
    assert_eq!(stage.shown(heard).await.status, ExecutionStatus::Succeeded);
    assert_eq!(stage.shown(dead.fence.execution).await.status, ExecutionStatus::Dead);

    stage.arrive(&support, event).await;
    assert_eq!(sweep(&stage, ago(&stage, DAY)).await.executions, 1);
    assert!(!is_listed(&stage, heard).await);

    // A letter that was sent again has an age from then on, and holds nothing back any more.
    stage.state.replay(letters[0].id).await.unwrap();
    assert_eq!(sweep(&stage, ago(&stage, DAY)).await.dead_letters, 0);
    assert!(!is_listed(&stage, dead.fence.execution).await);
    stage.clock.advance(2 * DAY);
    assert_eq!(sweep(&stage, ago(&stage, DAY)).await.dead_letters, 1);
    assert!(stage.state.dead_letter(letters[0].id).await.unwrap().is_none());
}

/// The newest is the one that was given last, be it older than another.
pub async fn each_agents_newest_version_is_kept(stage: Stage) {
    let (support, other) = (agent("support"), agent("other"));
    let give = async |agent: &AgentId, version: &str| {
        stage.state.save_version(agent, version, json!({ "name": version })).await.unwrap();
        stage.clock.advance(secs(1));
    };
    for version in ["a", "v1", "b", "a"] {
        give(&support, version).await;
    }
    give(&other, "b").await;
    // One that began on `v1` goes on.
    let running = stage.running(&support, &node("here")).await;
    stage.clock.advance(9 * DAY);
    assert_eq!(sweep(&stage, ago(&stage, DAY)).await.versions, 1);
    let names = async |agent: &AgentId| {
        let specs = stage.state.versions(agent).await.unwrap();
        specs.iter().map(|spec| spec["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&support).await, ["a", "v1"], "the newest first");
    assert!(names(&agent("nobody")).await.is_empty());
    let kept = async |agent: &AgentId, version: &str| stage.state.version(agent, version).await.unwrap().is_some();
    assert!(kept(&support, "a").await && kept(&support, "v1").await && kept(&other, "b").await);
    assert!(!kept(&support, "b").await);
    stage.finish(&running, succeeded()).await;
    assert_eq!(sweep(&stage, ago(&stage, DAY)).await.versions, 1);
    assert!(kept(&support, "a").await && !kept(&support, "v1").await);
    // What was in use until now is as old as what came after it.
    give(&support, "c").await;
    assert_eq!(sweep(&stage, ago(&stage, DAY)).await.versions, 0);
    assert_eq!(names(&support).await, ["c", "a"]);
    for version in ["c", "a", "a"] {
        give(&support, version).await;
    }
    assert_eq!(names(&support).await, ["a", "c"], "an older one that is given again is the newest");
}

/// Budgets and bills need it longer than anybody looks at what it was spent for.
pub async fn spending_is_remembered_for_a_year(stage: Stage) {
    let support = agent("support");
    let begun = stage.clock.now();
    done(&stage, &support).await;
    stage.clock.advance(300 * DAY);
    assert_eq!(sweep(&stage, ago(&stage, DAY)).await.executions, 1);
    assert_eq!(stage.spent(&support, begun).await.calls, 1);
    stage.clock.advance(67 * DAY);
    assert!(!sweep(&stage, ago(&stage, DAY)).await.is_nothing());
    assert_eq!(stage.spent(&support, begun).await.calls, 0);
}

/// No call deletes more than it may, so that nobody waits long for it.
pub async fn a_sweep_takes_no_more_than_its_limit(stage: Stage) {
    let support = agent("support");
    for _ in 0..5 {
        done(&stage, &support).await;
    }
    stage.clock.advance(DAY);
    let before = ago(&stage, secs(1));
    // A store that keeps the names first does so here.
    let first = stage.state.sweep(before, 2).await.unwrap();
    stage.clock.advance(secs(61));
    let mut gone = vec![first.executions];
    for _ in 0..4 {
        gone.push(stage.state.sweep(before, 2).await.unwrap().executions);
    }
    assert_eq!(gone.iter().sum::<u64>(), 5);
    assert!(gone.iter().all(|count| *count <= 2), "{gone:?}");
    assert!(!stage.state.sweep(before, 2).await.unwrap().more);
}
