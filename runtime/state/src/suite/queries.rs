//! Questions.

use greenroom_contract::{
    Clock, Event, ExecutionId, Priority, TraceId,
    page::PageRequest,
    port::{
        llm::{Message, Role},
        state::{CheckpointKey, Conclusion, Error, ExecutionFilter, Finish, NewCheckpoint},
    },
    status::ExecutionStatus,
};
use serde_json::{Value, json};

use super::{
    Stage,
    stage::{agent, call, end, event_for, fact, failure, node, outcome, secs, succeeded},
};

/// Every one once, over page borders; a cursor that is none of the list's is refused.
pub async fn executions_are_listed_newest_first_in_pages(stage: Stage) {
    let support = agent("support");
    let mut newest_first = Vec::new();
    for n in 0..7 {
        stage.clock.advance(secs(1));
        newest_first.insert(0, stage.arrive(&support, event_for(&support, json!(n))).await);
    }
    let list = |cursor| stage.state.executions(ExecutionFilter::default(), PageRequest { limit: 3, cursor });
    let (mut listed, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = list(cursor).await.unwrap();
        assert!(page.items.len() <= 3);
        assert!(page.items.iter().all(|execution| execution.steps.is_none()));
        listed.extend(page.items.iter().map(|execution| execution.id));
        pages += 1;
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((listed, pages), (newest_first, 3));
    for wrong in ["", "nonsense", "-1", "'; DROP TABLE executions; --"] {
        let refused = list(Some(wrong.to_owned())).await;
        assert!(matches!(refused, Err(Error::Conflict { .. })), "{wrong:?} was taken");
    }
}

/// By each alone and together.
pub async fn executions_are_found_by_agent_status_and_trace(stage: Stage) {
    let (a, b, here) = (agent("a"), agent("b"), node("here"));
    let shared = Event { priority: Priority::High, ..fact("report.made") };
    let of_a = stage.arrive(&a, shared.clone()).await;
    let of_b = stage.arrive(&b, shared.clone()).await;
    let running = stage.running(&a, &here).await.fence.execution;
    let done = stage.running(&b, &here).await;
    stage.finish(&done, succeeded()).await;
    let done = done.fence.execution;

    let find = async |agent: Option<&str>, status: &[ExecutionStatus], trace_id: Option<TraceId>| {
        let filter = ExecutionFilter { agent: agent.map(super::stage::agent), status: status.to_vec(), trace_id };
        let page = stage.state.executions(filter, PageRequest::default()).await.unwrap();
        page.items.iter().map(|execution| execution.id).collect::<Vec<ExecutionId>>()
    };
    use ExecutionStatus::{Queued, Running, Succeeded};
    assert_eq!(find(None, &[], None).await, [done, running, of_b, of_a]);
    assert_eq!(find(Some("a"), &[], None).await, [running, of_a]);
    assert_eq!(find(None, &[Queued], None).await, [of_b, of_a]);
    assert_eq!(find(None, &[Running, Queued], None).await, [running, of_b, of_a]);
    assert_eq!(find(None, &[Running, Succeeded], None).await, [done, running]);
    assert_eq!(find(None, &[], Some(shared.trace_id)).await, [of_b, of_a]);
    assert_eq!(find(Some("b"), &[Queued], Some(shared.trace_id)).await, [of_b]);
    assert!(find(Some("b"), &[Running], None).await.is_empty());

    let shown = stage.shown(of_a).await;
    assert_eq!((shown.event_id, shown.event_type.as_str()), (shared.event_id, "report.made"));
    assert_eq!((shown.priority, shown.source.as_str()), (Priority::High, "test"));
    assert_eq!((shown.attempt, shown.epoch, shown.node, shown.started_at), (0, 0, None, None));
    assert_eq!((shown.created_at, shown.available_at), (stage.clock.now(), Some(stage.clock.now())));
}

/// Events, results, answers, state and messages; what is small stays as it is beside them.
pub async fn payloads_over_a_megabyte_come_back_as_they_were(stage: Stage) {
    let (talk, here) = (agent("talk"), node("here"));
    let large = |seed: u32| -> Value {
        let text: String =
            (0..1_500_000_u32).map(|n| char::from(b'a' + ((n * 7 + n / 1000 + seed) % 26) as u8)).collect();
        json!({ "text": text, "ü": "\u{0}\"" })
    };
    let event = stage.submit(&talk, large(0)).await.event;
    assert_eq!(stage.shown(ExecutionId::of(&talk, event.event_id)).await.input, large(0));
    stage.arrive(&talk, super::stage::event_of(&stage.due().await[0]).clone()).await;
    let claimed = stage.claim_one(&talk, &here).await;
    assert_eq!(claimed.event, event);
    stage.state.journal(claimed.fence, None, Some(call(&claimed, 0))).await.unwrap();
    let settled = greenroom_contract::execution::Settled { result: large(1), ..outcome(&claimed, 0, None) };
    stage.state.journal(claimed.fence, Some(settled), None).await.unwrap();
    stage.state.take_back(&here).await.unwrap();
    let resumed = stage.claim_one(&talk, &here).await;
    assert_eq!(resumed.journal[0].result, Some(large(1)));

    let key = CheckpointKey { agent: talk.clone(), conversation: String::new() };
    let message = Message::text(Role::Assistant, large(2)["text"].as_str().unwrap());
    let checkpoint = NewCheckpoint { key: key.clone(), replaces: 0, data: large(3), append: vec![message.clone()] };
    let conclusion = Conclusion::Succeeded(large(4));
    let finish = Finish { checkpoint: Some(checkpoint), ..end(conclusion) };
    stage.state.finish(resumed.fence, finish).await.unwrap();
    let shown = stage.shown(resumed.fence.execution).await;
    assert_eq!((shown.input, shown.output), (large(0), Some(large(4))));
    let kept = stage.state.checkpoint(&key, 1).await.unwrap();
    assert_eq!((kept.data, kept.messages), (large(3), vec![message]));
}

/// Questions about nothing answer with nothing.
pub async fn what_does_not_exist_is_not_found(stage: Stage) {
    let id = ExecutionId::of(&agent("nobody"), fact("x").event_id);
    assert!(stage.state.execution(id).await.unwrap().is_none());
    assert!(stage.state.steps(id).await.unwrap().is_empty());
    assert!(stage.state.pending(TraceId::new()).await.unwrap().is_empty());
    assert!(!stage.state.cancel(id, failure()).await.unwrap());
    assert!(stage.state.dead_letter(1).await.unwrap().is_none());
    assert!(!stage.state.purge(1).await.unwrap());
    assert!(matches!(stage.state.replay(1).await, Err(Error::NotFound { .. })));
    assert!(stage.due().await.is_empty());
    assert_eq!(stage.state.redrive_outbox().await.unwrap(), 0);
}
