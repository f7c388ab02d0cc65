//! Schedules and their firings.

use std::sync::Arc;

use greenroom_contract::{
    AgentId, Clock, Event, EventId, ExecutionId, TraceId,
    port::{
        bus::SCHEDULED_TASKS,
        state::{
            Error, Fire, Firing, IfBusy, MOST_AT_WORK, MOST_WAITING, NewFiring, OutboxOutcome, ScheduleRow, SetSchedule,
        },
    },
    status::{ExecutionStatus, FiringStatus},
    task,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    Stage,
    stage::{agent, event_of, node, secs, succeeded},
};

const DIGEST: &str = "every minute";

/// The moment so many seconds after the beginning.
fn at(stage: &Stage, seconds: i64) -> Timestamp {
    stage.clock.now() + SignedDuration::from_secs(seconds)
}

fn new(agent: &AgentId, due_at: Timestamp, if_busy: IfBusy) -> NewFiring {
    let payload = json!({ "agent_id": agent, "scheduled_at": due_at });
    let mut event = Event::new(SCHEDULED_TASKS, "scheduler", TraceId::new(), payload);
    event.event_id = EventId::derived(&["schedule", agent.as_str(), &due_at.to_string()]);
    NewFiring { due_at, stands_for: 1, if_busy, event }
}

fn fire(agent: &AgentId, due_at: Timestamp, next_at: Timestamp, if_busy: IfBusy) -> Fire {
    let firings = vec![new(agent, due_at, if_busy)];
    Fire { agent: agent.clone(), digest: DIGEST.to_owned(), due_at, next_at: Some(next_at), missed: None, firings }
}

async fn set(stage: &Stage, agent: &AgentId, seen: Option<(String, Option<Timestamp>)>, next: Timestamp) -> bool {
    let (agent, digest, anchor) = (agent.clone(), DIGEST.to_owned(), stage.clock.now());
    let set = SetSchedule { agent, seen, digest, anchor, next_at: Some(next) };
    stage.state.set_schedule(set).await.unwrap()
}

async fn row(stage: &Stage, agent: &AgentId) -> ScheduleRow {
    let scheduled = stage.state.schedules().await.unwrap();
    assert_eq!(scheduled.now, stage.clock.now(), "the store tells its own time");
    scheduled.rows.into_iter().find(|row| row.agent == *agent).unwrap()
}

/// Sets a schedule that is due now, and fires it; the next time is a minute later.
async fn fired(stage: &Stage, agent: &AgentId, if_busy: IfBusy) -> Firing {
    let now = stage.clock.now();
    if let Some(row) = stage.state.schedules().await.unwrap().rows.into_iter().find(|row| row.agent == *agent) {
        assert!(set(stage, agent, Some((row.digest, row.next_at)), now).await);
    } else {
        assert!(set(stage, agent, None, now).await);
    }
    let mut done = stage.state.fire(fire(agent, now, at(stage, 60), if_busy)).await.unwrap().unwrap();
    stage.clock.advance(secs(1));
    done.remove(0)
}

/// What is in the outbox reaches the agent's inbox, and is done. Returns whose events they were.
async fn done(stage: &Stage, agent: &AgentId) -> Vec<EventId> {
    let mut events = Vec::new();
    let rows = stage.due().await;
    stage.settle(&rows, OutboxOutcome::Published).await;
    for event in rows.iter().map(event_of).filter(|event| event.event_type == SCHEDULED_TASKS) {
        let command = Event { event_type: agent.input_topic(), ..event.clone() };
        stage.arrive(agent, command).await;
        let claimed = stage.claim_one(agent, &node("here")).await;
        stage.finish(&claimed, succeeded()).await;
        events.push(event.event_id);
    }
    events
}

/// A due time is decided once: its event is in the outbox, the next time is set, and whoever comes later finds that.
pub async fn a_due_time_fires_once(stage: Stage) {
    let daily = agent("daily");
    let (due, next) = (at(&stage, 60), at(&stage, 120));
    assert!(set(&stage, &daily, None, due).await);
    assert!(!set(&stage, &daily, None, next).await, "another node has written it");
    assert_eq!(stage.state.fire(fire(&daily, due, next, IfBusy::Skip)).await.unwrap(), None, "it is too early");
    stage.clock.advance(secs(60));
    let mut other = fire(&daily, due, next, IfBusy::Skip);
    other.digest = "another schedule".to_owned();
    assert_eq!(stage.state.fire(other).await.unwrap(), None);
    let firing = stage.state.fire(fire(&daily, due, next, IfBusy::Skip)).await.unwrap().unwrap().remove(0);
    assert_eq!((firing.due_at, firing.status, firing.triggered), (due, FiringStatus::Fired, false));
    assert_eq!(stage.state.fire(fire(&daily, due, next, IfBusy::Skip)).await.unwrap(), None);

    let shown = row(&stage, &daily).await;
    assert_eq!((shown.next_at, shown.waiting, shown.last.as_ref()), (Some(next), 0, Some(&firing)));
    assert_eq!(stage.shown(firing.execution_id).await.status, ExecutionStatus::Queued, "it is promised already");
    let rows = stage.due().await;
    assert_eq!(rows.len(), 1);
    let event = event_of(&rows[0]);
    assert_eq!((event.event_type.as_str(), event.trace_id), (SCHEDULED_TASKS, firing.trace_id));
    assert_eq!(firing.execution_id, ExecutionId::of(&daily, event.event_id));
}

/// However many nodes find the same time due at once.
pub async fn many_nodes_fire_a_due_time_once(stage: Stage) {
    let daily = agent("daily");
    let (due, next) = (stage.clock.now(), at(&stage, 60));
    assert!(set(&stage, &daily, None, due).await);
    let mut asked = Vec::new();
    for _ in 0..20 {
        let (state, fire) = (Arc::clone(&stage.state), fire(&daily, due, next, IfBusy::Fire));
        asked.push(task::spawn("fire", async move { state.fire(fire).await.unwrap() }));
    }
    let mut won = 0;
    for one in asked {
        won += usize::from(one.await.unwrap().is_some());
    }
    assert_eq!((won, stage.due().await.len()), (1, 1));
    assert_eq!(stage.state.firings(&daily, 10).await.unwrap().len(), 1);
}

/// A clock that was set back, or a row that was made anew, brings a time up again: its firing is had already.
pub async fn a_time_that_was_fired_before_is_passed_over(stage: Stage) {
    let daily = agent("daily");
    let firing = fired(&stage, &daily, IfBusy::Fire).await;
    let row = row(&stage, &daily).await;
    assert!(set(&stage, &daily, Some((row.digest, row.next_at)), firing.due_at).await);
    let again = stage.state.fire(fire(&daily, firing.due_at, at(&stage, 60), IfBusy::Fire)).await.unwrap();
    assert_eq!((again, stage.due().await.len()), (Some(vec![]), 1));
}

/// Both commands of a firing, the one to the orchestrators and the one to the agent, are over with the agent's inbox.
pub async fn a_firing_leaves_nothing_in_the_outbox_once_its_agent_has_it(stage: Stage) {
    let daily = agent("daily");
    let firing = fired(&stage, &daily, IfBusy::Skip).await;
    let rows = stage.due().await;
    stage.settle(&rows, OutboxOutcome::Published).await;
    let command = Event { event_type: daily.input_topic(), ..event_of(&rows[0]).clone() };
    let submission =
        || greenroom_contract::port::state::Submission { event: command.clone(), agent: Some(daily.clone()) };
    assert!(!stage.state.submit(submission()).await.unwrap().repeated);
    assert!(stage.state.submit(submission()).await.unwrap().repeated, "the way by the queue may be gone twice");
    assert_eq!(stage.arrive(&daily, command.clone()).await, firing.execution_id);
    assert!(!stage.has_pending(firing.trace_id).await);
    assert_eq!(stage.state.redrive_outbox().await.unwrap(), 0);
    assert!(stage.state.submit(submission()).await.unwrap().repeated);
}

/// `overlap: skip`: what comes while the last one is at work is dropped, and that is written down.
pub async fn a_firing_is_skipped_while_the_last_one_is_at_work(stage: Stage) {
    let daily = agent("daily");
    let first = fired(&stage, &daily, IfBusy::Skip).await;
    let second = fired(&stage, &daily, IfBusy::Skip).await;
    assert_eq!((first.status, second.status), (FiringStatus::Fired, FiringStatus::Skipped));
    let other = fired(&stage, &agent("other"), IfBusy::Skip).await;
    assert_eq!(other.status, FiringStatus::Fired, "another agent's work is its own");
    let rows = stage.due().await;
    assert_eq!(rows.len(), 2, "what is skipped goes nowhere");
    stage.settle(&rows, OutboxOutcome::Published).await;
    // On its way, in the inbox, and at work: each time it is not over.
    let command = Event { event_type: daily.input_topic(), ..event_of(&rows[0]).clone() };
    stage.arrive(&daily, command).await;
    assert_eq!(fired(&stage, &daily, IfBusy::Skip).await.status, FiringStatus::Skipped);
    let claimed = stage.claim_one(&daily, &node("here")).await;
    assert_eq!(fired(&stage, &daily, IfBusy::Skip).await.status, FiringStatus::Skipped);
    stage.finish(&claimed, succeeded()).await;
    assert_eq!(fired(&stage, &daily, IfBusy::Skip).await.status, FiringStatus::Fired);
    let kept = stage.state.firings(&daily, 10).await.unwrap();
    let words: Vec<_> = kept.iter().map(|firing| firing.status.as_str()).collect();
    assert_eq!(words, ["fired", "skipped", "skipped", "skipped", "fired"]);
    assert_eq!(kept[4].execution_status, Some(ExecutionStatus::Succeeded));
    assert_eq!(kept[3].execution_status, None);
}

/// `overlap: queue`: what comes meanwhile waits for its turn, the oldest first, as many as may; `allow` overtakes it.
pub async fn a_firing_waits_for_its_turn(stage: Stage) {
    let daily = agent("daily");
    let first = fired(&stage, &daily, IfBusy::Wait).await;
    let second = fired(&stage, &daily, IfBusy::Wait).await;
    let third = fired(&stage, &daily, IfBusy::Wait).await;
    assert_eq!(
        (first.status, second.status, third.status.as_str()),
        (FiringStatus::Fired, FiringStatus::Waiting, "waiting")
    );
    assert_eq!((row(&stage, &daily).await.waiting, stage.state.next_waiting(&daily).await.unwrap()), (2, None));
    let again = |firing: &Firing| new(&daily, firing.due_at, IfBusy::Wait).event;
    assert!(!stage.state.release_firing(&daily, second.due_at, again(&second)).await.unwrap(), "it is not its turn");
    assert_eq!(done(&stage, &daily).await.len(), 1);
    assert_eq!(fired(&stage, &daily, IfBusy::Skip).await.status, FiringStatus::Skipped, "who waits comes first");

    let next = stage.state.next_waiting(&daily).await.unwrap().unwrap();
    assert_eq!((next.due_at, next.trace_id), (second.due_at, second.trace_id));
    assert!(stage.state.release_firing(&daily, next.due_at, again(&second)).await.unwrap());
    assert!(!stage.state.release_firing(&daily, next.due_at, again(&second)).await.unwrap(), "it has gone");
    assert!(!stage.state.release_firing(&daily, third.due_at, again(&third)).await.unwrap(), "one after the other");
    assert_eq!(stage.state.next_waiting(&daily).await.unwrap(), None);
    assert_eq!(fired(&stage, &daily, IfBusy::Fire).await.status, FiringStatus::Fired);
    assert_eq!(done(&stage, &daily).await.len(), 2);
    assert_eq!(stage.state.next_waiting(&daily).await.unwrap().unwrap().due_at, third.due_at);
    for (paused, released) in [(true, false), (false, true)] {
        stage.state.pause_schedule(&daily, paused).await.unwrap();
        let went = stage.state.release_firing(&daily, third.due_at, again(&third)).await.unwrap();
        assert_eq!(went, released, "a pause holds what waits");
    }
}

/// With the schedule goes what waits for its turn; what has gone out goes on.
pub async fn a_schedule_that_is_over_lets_nothing_wait(stage: Stage) {
    let daily = agent("daily");
    for _ in 0..3 {
        fired(&stage, &daily, IfBusy::Wait).await;
    }
    let seen = row(&stage, &daily).await;
    assert_eq!(seen.waiting, 2);
    let (digest, anchor) = (seen.digest.clone(), seen.anchor);
    let over = |next_at| {
        let (agent, digest) = (daily.clone(), digest.clone());
        SetSchedule { agent, seen: Some((digest.clone(), next_at)), digest, anchor, next_at: None }
    };
    assert!(!stage.state.set_schedule(over(Some(anchor))).await.unwrap(), "it is not as it was seen");
    assert_eq!(row(&stage, &daily).await.waiting, 2);
    assert!(stage.state.set_schedule(over(seen.next_at)).await.unwrap());
    let words: Vec<_> = stage.state.firings(&daily, 9).await.unwrap().iter().map(|one| one.status.as_str()).collect();
    assert_eq!((row(&stage, &daily).await.waiting, words), (0, vec!["skipped", "skipped", "fired"]));
    assert_eq!(done(&stage, &daily).await.len(), 1);
    assert_eq!(stage.state.next_waiting(&daily).await.unwrap(), None);
}

/// Not more than [`MOST_WAITING`] wait; what is missed is written down as one.
pub async fn what_waits_is_bounded_and_what_is_missed_is_written_down(stage: Stage) {
    let daily = agent("daily");
    let due = stage.clock.now();
    assert!(set(&stage, &daily, None, due).await);
    let mut all = fire(&daily, due, at(&stage, 60), IfBusy::Wait);
    let mut missed = new(&daily, at(&stage, -500), IfBusy::Skip);
    missed.stands_for = 7;
    all.missed = Some(missed);
    all.firings = (-120..0).map(|seconds| new(&daily, at(&stage, seconds), IfBusy::Wait)).collect();
    let decided = stage.state.fire(all).await.unwrap().unwrap();
    let count = |status| decided.iter().filter(|firing| firing.status == status).count() as u32;
    assert_eq!((count(FiringStatus::Fired), count(FiringStatus::Waiting)), (1, MOST_WAITING));
    assert_eq!(count(FiringStatus::Skipped), 120 - 1 - MOST_WAITING);
    assert_eq!((decided[0].status, decided[0].stands_for), (FiringStatus::Missed, 7));
    assert_eq!(stage.due().await.len(), 1);
    assert_eq!(stage.state.firings(&daily, 3).await.unwrap().len(), 3);
}

/// Also what may run side by side piles up no further than [`MOST_AT_WORK`] before an agent that takes no work.
pub async fn what_is_at_work_is_bounded(stage: Stage) {
    let often = agent("often");
    let due = stage.clock.now();
    assert!(set(&stage, &often, None, due).await);
    let all = i64::from(MOST_AT_WORK) + 20;
    let mut fires = fire(&often, due, at(&stage, 60), IfBusy::Fire);
    fires.firings = (-all..0).map(|seconds| new(&often, at(&stage, seconds), IfBusy::Fire)).collect();
    let decided = stage.state.fire(fires).await.unwrap().unwrap();
    let count = |status| decided.iter().filter(|firing| firing.status == status).count() as u32;
    assert_eq!((count(FiringStatus::Fired), count(FiringStatus::Skipped)), (MOST_AT_WORK, 20));
}

/// A held schedule does not fire, over whatever happens to it, until it is let go and its next time is set anew.
pub async fn a_schedule_is_held_until_it_is_let_go(stage: Stage) {
    let (daily, early) = (agent("daily"), agent("early"));
    let due = stage.clock.now();
    assert!(set(&stage, &daily, None, due).await);
    stage.state.pause_schedule(&daily, true).await.unwrap();
    stage.clock.advance(secs(1));
    stage.state.pause_schedule(&daily, true).await.unwrap();
    let held = row(&stage, &daily).await;
    assert_eq!((held.next_at, held.paused_since), (None, Some(due)));
    assert_eq!(stage.state.fire(fire(&daily, due, at(&stage, 60), IfBusy::Fire)).await.unwrap(), None);
    assert!(set(&stage, &daily, Some((held.digest.clone(), None)), due).await, "a changed file is taken up");
    assert_eq!(row(&stage, &daily).await.next_at, None, "and it rests all the same");
    let triggered = stage.state.trigger_schedule(&daily, new(&daily, at(&stage, 0), IfBusy::Fire)).await.unwrap();
    assert!(triggered.triggered && triggered.status == FiringStatus::Fired, "an operator may all the same");
    let twice = stage.state.trigger_schedule(&daily, new(&daily, at(&stage, 0), IfBusy::Fire)).await;
    assert!(matches!(twice, Err(Error::Conflict { .. })));
    assert_eq!(stage.due().await.len(), 1);

    stage.state.pause_schedule(&daily, false).await.unwrap();
    stage.state.pause_schedule(&daily, false).await.unwrap();
    let free = row(&stage, &daily).await;
    assert_eq!((free.next_at, free.paused_since), (None, None));
    assert!(set(&stage, &daily, Some((free.digest, None)), due).await);
    assert!(stage.state.fire(fire(&daily, due, at(&stage, 60), IfBusy::Fire)).await.unwrap().is_some());

    // Before any scheduler has seen it.
    stage.state.pause_schedule(&early, true).await.unwrap();
    assert_eq!(row(&stage, &early).await.next_at, None);
}

/// Old firings go with the rest of the old history, but for what waits, what is at work, and each agent's newest.
pub async fn old_firings_are_deleted(stage: Stage) {
    let (daily, rare) = (agent("daily"), agent("rare"));
    for _ in 0..3 {
        fired(&stage, &daily, IfBusy::Fire).await;
    }
    done(&stage, &daily).await;
    fired(&stage, &rare, IfBusy::Wait).await;
    fired(&stage, &rare, IfBusy::Wait).await;
    stage.clock.advance(secs(3600));
    // What is over is noted when the agent fires again.
    fired(&stage, &daily, IfBusy::Fire).await;
    stage.state.sweep(at(&stage, -60), 100).await.unwrap();
    assert_eq!(stage.state.firings(&daily, 10).await.unwrap().len(), 1);
    assert_eq!(stage.state.firings(&rare, 10).await.unwrap().len(), 2);
}
