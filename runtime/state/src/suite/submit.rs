//! Doors.

use greenroom_contract::{
    Event, ExecutionId, TraceId,
    port::state::{Arrival, Error, OutboxOutcome, Submission},
    status::ExecutionStatus,
};
use serde_json::json;

use super::{
    Stage,
    stage::{agent, command, event_of, fact, node, succeeded},
};

/// A door's command is in the outbox, and its execution is shown before the inbox has it.
pub async fn a_submission_is_in_the_outbox_and_shown_as_queued(stage: Stage) {
    let support = agent("support");
    let Event { event_id, trace_id, .. } = stage.submit(&support, json!({ "input": "hi" })).await.event;
    let shown = stage.shown(ExecutionId::of(&support, event_id)).await;
    assert_eq!((shown.status, shown.attempt, shown.agent), (ExecutionStatus::Queued, 0, support));
    assert_eq!((shown.trace_id, shown.input), (trace_id, json!({ "input": "hi" })));
    let due = stage.due().await;
    assert_eq!(due.len(), 1);
    assert_eq!(event_of(&due[0]).event_id, event_id);
}

/// Whether it waits, is published, runs or has ended: the first answer stands, with its trace.
pub async fn a_repeated_submission_returns_the_first_at_every_station(stage: Stage) {
    let support = agent("support");
    let first = command(&support, json!({ "input": "hi" }));
    assert!(!stage.state.submit(first.clone()).await.unwrap().repeated);
    let again = || {
        let event = Event { trace_id: TraceId::new(), ..first.event.clone() };
        stage.state.submit(Submission { event, agent: first.agent.clone() })
    };
    let assert_first = async |station: &str| {
        let answer = again().await.unwrap();
        assert!(answer.repeated, "not recognised while {station}");
        assert_eq!(answer.event, first.event, "another event while {station}");
    };

    assert_first("it waits").await;
    let due = stage.due().await;
    assert_eq!(due.len(), 1, "a repetition went out");
    assert_first("a relay has it").await;
    stage.settle(&due, OutboxOutcome::Published).await;
    assert_first("it is published").await;
    stage.arrive(&support, first.event.clone()).await;
    assert_first("it is in the inbox").await;
    let claimed = stage.claim_one(&support, &node("a")).await;
    stage.finish(&claimed, succeeded()).await;
    assert_first("it has ended").await;
    assert!(stage.due().await.is_empty());
}

/// The same event id with another payload is refused, before and after its arrival.
pub async fn a_key_that_was_used_for_another_request_is_refused(stage: Stage) {
    let support = agent("support");
    let first = command(&support, json!({ "input": "hi" }));
    stage.state.submit(first.clone()).await.unwrap();
    let wrong = Submission {
        event: Event { payload: json!({ "input": "bye" }), ..first.event.clone() },
        agent: Some(support.clone()),
    };
    let refused = stage.state.submit(wrong.clone()).await.unwrap_err();
    assert!(matches!(&refused, Error::Conflict { what } if what.contains("was used for another request")));
    stage.arrive(&support, first.event.clone()).await;
    assert!(matches!(stage.state.submit(wrong).await, Err(Error::Conflict { .. })));
}

/// One happening that has two topics (Slack sends a mention as `app_mention` and as `message`) goes out under both; an
/// agent that subscribed to both has it once.
pub async fn one_event_under_two_topics_goes_out_under_both(stage: Stage) {
    let support = agent("support");
    let mention = fact("slack.events.app_mention.C1");
    let message = Event { event_type: "slack.events.message.C1".into(), ..mention.clone() };
    for event in [&mention, &message] {
        let submitted = stage.state.submit(Submission { event: event.clone(), agent: None }).await.unwrap();
        assert!(!submitted.repeated);
    }
    assert_eq!(stage.due().await.len(), 2);
    stage.arrive(&support, mention.clone()).await;
    let again = stage.state.submit(Submission { event: mention, agent: None }).await.unwrap();
    assert!(again.repeated, "a retry of either is recognised");
}

/// An event for whoever subscribed is recognised too, once an inbox has it and its outbox row is gone.
pub async fn a_repeated_fact_is_recognised_in_the_inbox(stage: Stage) {
    let (a, b) = (agent("a"), agent("b"));
    let event = fact("slack.events.message");
    let submission = Submission { event: event.clone(), agent: None };
    assert!(!stage.state.submit(submission.clone()).await.unwrap().repeated);
    stage.settle(&stage.due().await, OutboxOutcome::Published).await;
    for agent in [a, b] {
        let arrival = Arrival { agent, version: "v1".to_owned(), event: event.clone(), claim: None };
        stage.state.accept(arrival).await.unwrap();
    }
    assert!(stage.state.submit(submission).await.unwrap().repeated);
    assert!(stage.due().await.is_empty());
}
