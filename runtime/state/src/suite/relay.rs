//! The outbox: what becomes of rows that went out, and of those that never can.

use greenroom_contract::{
    ExecutionId, ReplyTo,
    event::SlackReply,
    page::PageRequest,
    port::state::{Accepted, Arrival, DeadLetterFilter, Finish, OutboxOutcome, Outgoing, Submission},
    status::ExecutionStatus,
};
use serde_json::json;

use super::{
    Stage,
    stage::{agent, end, event_for, fact, failure, node, succeeded},
};

/// Published is not received: the row stays, is driven again on demand, and goes with the agent's own inbox only.
pub async fn a_published_command_stays_until_its_agent_has_it(stage: Stage) {
    let (support, sales) = (agent("support"), agent("sales"));
    let event = stage.submit(&support, json!(1)).await.event;
    stage.settle(&stage.due().await, OutboxOutcome::Published).await;
    assert!(stage.due().await.is_empty());

    assert_eq!(stage.state.redrive_outbox().await.unwrap(), 1);
    assert_eq!(stage.due().await.len(), 1, "a driven row is due at once");
    stage.arrive(&sales, event.clone()).await;
    assert!(stage.has_pending(event.trace_id).await, "another agent's inbox took the row");
    stage.arrive(&support, event.clone()).await;
    assert!(!stage.has_pending(event.trace_id).await);
    assert_eq!(stage.state.redrive_outbox().await.unwrap(), 0);
}

/// Nobody is awaited for a fact: confirmed is done.
pub async fn a_published_fact_goes(stage: Stage) {
    let event = fact("report.made");
    stage.state.submit(Submission { event: event.clone(), agent: None }).await.unwrap();
    stage.settle(&stage.due().await, OutboxOutcome::Published).await;
    assert!(!stage.has_pending(event.trace_id).await);
}

/// The execution that the door promised ends as dead, its event is kept, and a late delivery does not run it.
pub async fn a_command_that_can_never_go_ends_as_dead(stage: Stage) {
    let support = agent("support");
    let event = stage.submit(&support, json!(1)).await.event;
    stage.settle(&stage.due().await, OutboxOutcome::Dead(failure())).await;

    let id = ExecutionId::of(&support, event.event_id);
    let shown = stage.shown(id).await;
    assert_eq!((shown.status, shown.error), (ExecutionStatus::Dead, Some(failure())));
    let letters = stage.state.dead_letters(DeadLetterFilter::default(), PageRequest::default()).await.unwrap().items;
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].execution_id, letters[0].trace_id), (Some(id), Some(event.trace_id)));
    assert_eq!((letters[0].agent.as_ref(), letters[0].attempts), (Some(&support), 1));
    assert!(!stage.has_pending(event.trace_id).await);

    let late = Arrival { agent: support, version: "v1".to_owned(), event, claim: None };
    assert!(matches!(stage.state.accept(late).await.unwrap(), Accepted::Duplicate(found) if found == id));
}

/// The letter tells what could not be said, not the address, which is a capability.
pub async fn a_reply_that_can_never_go_becomes_a_letter_without_its_address(stage: Stage) {
    let claimed = stage.running(&agent("support"), &node("a")).await;
    let url = "https://hooks.example/capability".to_owned();
    let to = ReplyTo::Slack(SlackReply { response_url: Some(url), ..SlackReply::default() });
    let trace_id = claimed.event.trace_id;
    let outbox = vec![Outgoing::Reply { to, text: "the answer".to_owned(), is_error: false, card: None, trace_id }];
    stage.state.finish(claimed.fence, Finish { outbox, ..end(succeeded()) }).await.unwrap();
    stage.settle(&stage.due().await, OutboxOutcome::Dead(failure())).await;

    let letters = stage.state.dead_letters(DeadLetterFilter::default(), PageRequest::default()).await.unwrap().items;
    assert_eq!((letters.len(), letters[0].queue.as_str(), letters[0].trace_id), (1, "reply.slack", Some(trace_id)));
    let shown = serde_json::to_string(&letters).unwrap();
    assert!(shown.contains("the answer") && !shown.contains("capability"), "{shown}");
    assert!(!stage.has_pending(trace_id).await);
}

/// A late answer about a row that the inbox has removed meets no other row.
pub async fn an_outcome_of_a_row_that_is_gone_changes_nothing(stage: Stage) {
    let support = agent("support");
    let first = event_for(&support, json!(1));
    stage.state.submit(Submission { event: first.clone(), agent: Some(support.clone()) }).await.unwrap();
    let late = stage.due().await;
    stage.arrive(&support, first).await;
    let second = stage.submit(&support, json!(2)).await.event;
    for outcome in [OutboxOutcome::Published, OutboxOutcome::Delivered, OutboxOutcome::Dead(failure())] {
        stage.settle(&late, outcome).await;
    }
    assert!(!stage.state.pending(second.trace_id).await.unwrap()[0].published);
    let letters = stage.state.dead_letters(DeadLetterFilter::default(), PageRequest::default()).await.unwrap().items;
    assert!(letters.is_empty());
}
