//! Dead letters, and the store's health.

use greenroom_contract::{
    Clock, Event, ExecutionId, ReplyTo,
    event::SlackReply,
    page::PageRequest,
    port::state::{DeadLetterFilter, Error, NewDeadLetter, OutboxOutcome, Outgoing},
    status::ExecutionStatus,
};
use serde_json::json;

use super::{
    Stage,
    stage::{agent, ended, event_for, event_of, fact, failure, node, succeeded},
};

fn letter(stage: &Stage, queue: &str, body: Vec<u8>) -> NewDeadLetter {
    NewDeadLetter {
        agent: None,
        queue: queue.to_owned(),
        body,
        reason: failure(),
        attempts: 5,
        first_at: stage.clock.now(),
        node: node("here"),
    }
}

/// The bus delivers what died at least once; bytes that are no event are kept as text.
pub async fn a_letter_from_the_bus_is_written_once(stage: Stage) {
    let garbage = letter(&stage, "scheduled.tasks", b"not an event \xff".to_vec());
    let id = stage.state.record_dead(garbage.clone()).await.unwrap();
    assert_eq!(stage.state.record_dead(garbage.clone()).await.unwrap(), id);
    let elsewhere = NewDeadLetter { queue: "plan.steps".to_owned(), ..garbage };
    assert_ne!(stage.state.record_dead(elsewhere).await.unwrap(), id);

    let kept = stage.state.dead_letter(id).await.unwrap().unwrap();
    assert_eq!((kept.queue.as_str(), kept.attempts, &kept.reason), ("scheduled.tasks", 5, &failure()));
    assert_eq!((kept.node, kept.first_at, kept.dead_at), (Some(node("here")), stage.clock.now(), stage.clock.now()));
    assert_eq!((kept.event, kept.trace_id, kept.agent), (None, None, None));
    assert!(kept.raw.unwrap().starts_with("not an event "));

    let reply_to =
        Some(ReplyTo::Slack(SlackReply { response_url: Some("https://capability".to_owned()), ..Default::default() }));
    let event = Event { reply_to, ..fact("report.made") };
    let id = stage.state.record_dead(letter(&stage, "q", event.to_bytes())).await.unwrap();
    let kept = stage.state.dead_letter(id).await.unwrap().unwrap();
    assert_eq!((kept.trace_id, &kept.raw), (Some(event.trace_id), &None));
    let shown = kept.event.unwrap();
    assert_eq!((&shown["payload"], &shown["reply_to"]), (&event.payload, &json!({ "kind": "slack" })));
}

/// The execution that the door promised ends, and nothing is driven again for it.
pub async fn a_command_that_died_on_the_bus_ends_as_dead(stage: Stage) {
    let support = agent("support");
    let event = stage.submit(&support, json!(1)).await.event;
    stage.settle(&stage.due().await, OutboxOutcome::Published).await;
    let id = ExecutionId::of(&support, event.event_id);
    let died = letter(&stage, "agent.input.support", event.to_bytes());
    let letter = stage.state.record_dead(died).await.unwrap();
    let shown = stage.shown(id).await;
    assert_eq!((shown.status, shown.error), (ExecutionStatus::Dead, Some(failure())));
    let letter = stage.state.dead_letter(letter).await.unwrap().unwrap();
    assert_eq!((letter.execution_id, letter.agent), (Some(id), Some(support)));
    assert_eq!(stage.state.redrive_outbox().await.unwrap(), 0);
}

/// A fresh event with the payload and trace of the old one, which it names; its execution is shown at once.
pub async fn a_replayed_letter_is_a_new_event_to_its_agent(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let claimed = stage.running(&support, &here).await;
    stage.finish(&claimed, ended(ExecutionStatus::Dead)).await;
    stage.settle(&stage.due().await, OutboxOutcome::Published).await;
    let letters = stage.state.dead_letters(DeadLetterFilter::default(), PageRequest::default()).await.unwrap().items;
    let replayed = stage.state.replay(letters[0].id).await.unwrap();

    let due = stage.due().await;
    let again = event_of(&due[0]);
    let old = &claimed.event;
    assert!(matches!(due[0].outgoing, Outgoing::Event { mandatory: true, .. }));
    assert_eq!((again.event_id, again.event_type.as_str()), (replayed.event_id, "agent.input.support"));
    assert_ne!(again.event_id, old.event_id);
    assert_eq!((&again.payload, again.trace_id, again.retry_count), (&old.payload, old.trace_id, 1));
    assert_eq!(again.correlation_id, Some(old.event_id.to_string()));
    let id = replayed.execution_id.unwrap();
    assert_eq!(id, ExecutionId::of(&support, again.event_id));
    assert_eq!(stage.shown(id).await.status, ExecutionStatus::Queued);
    let letter = stage.state.dead_letter(letters[0].id).await.unwrap().unwrap();
    assert_eq!((letter.replayed_at, letter.replayed_as), (Some(stage.clock.now()), Some(id.to_string())));

    stage.arrive(&support, again.clone()).await;
    let claimed = stage.claim_one(&support, &here).await;
    stage.finish(&claimed, succeeded()).await;
    assert_eq!(stage.shown(id).await.status, ExecutionStatus::Succeeded);
}

/// A letter without an agent goes back under its topic; twice, or without an event, it does not go.
pub async fn a_letter_is_replayed_once_and_only_if_it_is_an_event(stage: Stage) {
    let event = fact("report.made");
    let id = stage.state.record_dead(letter(&stage, "some.queue", event.to_bytes())).await.unwrap();
    let replayed = stage.state.replay(id).await.unwrap();
    assert_eq!(replayed.execution_id, None);
    let due = stage.due().await;
    assert_eq!((due.len(), event_of(&due[0]).event_type.as_str()), (1, "report.made"));
    assert!(matches!(stage.state.replay(id).await, Err(Error::Conflict { .. })), "replayed twice");

    let garbage = stage.state.record_dead(letter(&stage, "some.queue", b"{}".to_vec())).await.unwrap();
    assert!(matches!(stage.state.replay(garbage).await, Err(Error::Conflict { .. })));
    assert_eq!(stage.state.dead_letter(garbage).await.unwrap().unwrap().replayed_at, None);
    assert!(stage.due().await.is_empty());
}

/// Newest first, in pages, by agent; those that were sent again only on demand.
pub async fn letters_are_listed_and_purged(stage: Stage) {
    let (a, b) = (agent("a"), agent("b"));
    let mut ids = Vec::new();
    for agent in [&a, &b, &a] {
        let body = event_for(agent, json!(1)).to_bytes();
        let new = NewDeadLetter { agent: Some(agent.clone()), ..letter(&stage, "q", body) };
        ids.push(stage.state.record_dead(new).await.unwrap());
    }
    let list = async |agent: Option<&_>, replayed| {
        let filter = DeadLetterFilter { agent: agent.cloned(), replayed };
        let page = stage.state.dead_letters(filter, PageRequest::default()).await.unwrap();
        page.items.iter().map(|letter| letter.id).collect::<Vec<_>>()
    };
    assert_eq!(list(None, false).await, [ids[2], ids[1], ids[0]]);
    assert_eq!(list(Some(&a), false).await, [ids[2], ids[0]]);
    stage.state.replay(ids[0]).await.unwrap();
    assert_eq!((list(Some(&a), false).await, list(Some(&a), true).await), (vec![ids[2]], vec![ids[2], ids[0]]));

    let first = PageRequest { limit: 2, cursor: None };
    let page = stage.state.dead_letters(DeadLetterFilter { agent: None, replayed: true }, first).await.unwrap();
    assert_eq!(page.items.len(), 2);
    let next = PageRequest { limit: 2, cursor: page.next_cursor.clone() };
    let rest = stage.state.dead_letters(DeadLetterFilter { agent: None, replayed: true }, next).await.unwrap();
    assert_eq!((rest.items[0].id, rest.next_cursor), (ids[0], None));
    let other_list = PageRequest { limit: 2, cursor: page.next_cursor };
    assert!(matches!(stage.state.executions(Default::default(), other_list).await, Err(Error::Conflict { .. })));

    assert!(stage.state.purge(ids[1]).await.unwrap());
    assert!(!stage.state.purge(ids[1]).await.unwrap());
    assert_eq!(list(None, true).await, [ids[2], ids[0]]);
}

/// By writing, not by asking.
pub async fn the_store_says_that_it_can_write(stage: Stage) {
    stage.state.health().await.unwrap();
    stage.state.health().await.unwrap();
}
