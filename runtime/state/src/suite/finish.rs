//! Ends.

use greenroom_contract::{
    Clock, ExecutionId, MicroUsd, ReplyTo,
    page::PageRequest,
    port::{
        llm::{Message, Role},
        memory::Remember,
        state::{CheckpointKey, DeadLetterFilter, Error, Finish, NewCheckpoint, OutboxOutcome, Outgoing},
    },
    status::{ExecutionStatus, StepStatus},
};
use serde_json::json;

use super::{
    Stage,
    stage::{agent, call, end, ended, event_for, event_of, fact, failure, node, outcome, retry, secs, succeeded},
};

/// Answer, times, steps and price; the error of an earlier attempt is gone.
pub async fn a_success_shows_its_answer_and_its_price(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let first = stage.running(&support, &here).await;
    let created = stage.clock.now();
    stage.step(&first, 0, Some(MicroUsd(40))).await;
    stage.finish(&first, retry(secs(0))).await;
    stage.clock.advance(secs(2));
    let second = stage.claim_one(&support, &here).await;
    stage.state.journal(second.fence, None, Some(call(&second, 0))).await.unwrap();
    let last = Some(outcome(&second, 0, Some(MicroUsd(2))));
    stage.state.finish(second.fence, Finish { settle: last, ..end(succeeded()) }).await.unwrap();

    let shown = stage.shown(first.fence.execution).await;
    assert_eq!((shown.status, shown.output, shown.error), (ExecutionStatus::Succeeded, Some(json!("done")), None));
    assert_eq!((shown.created_at, shown.started_at), (created, Some(created)));
    assert_eq!((shown.finished_at, shown.available_at), (Some(stage.clock.now()), None));
    assert_eq!((shown.cost, shown.saved), (Some(MicroUsd(42)), None));
    let steps = shown.steps.unwrap();
    let places: Vec<_> = steps.iter().map(|step| (step.attempt, step.seq, step.status)).collect();
    assert_eq!(places, [(1, 0, StepStatus::Settled), (2, 0, StepStatus::Settled)]);
    assert_eq!(stage.state.steps(first.fence.execution).await.unwrap().len(), 2);
}

/// Not before its time; then with an empty journal, while the first attempt's stays readable.
pub async fn a_retry_waits_and_begins_afresh(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let first = stage.running(&support, &here).await;
    stage.step(&first, 0, None).await;
    stage.finish(&first, retry(secs(8))).await;
    let shown = stage.shown(first.fence.execution).await;
    assert_eq!((shown.status, shown.error, shown.finished_at), (ExecutionStatus::Queued, Some(failure()), None));
    assert_eq!((shown.attempt, shown.crashes), (2, 0));
    assert!(shown.available_at.unwrap() > stage.clock.now());

    stage.clock.advance(std::time::Duration::from_millis(7_999));
    assert!(stage.claim(&support, &here, 10).await.is_empty());
    stage.clock.advance(std::time::Duration::from_millis(1));
    let second = stage.claim_one(&support, &here).await;
    assert_eq!((second.attempt, second.fence.epoch, second.journal.len()), (2, 2, 0));
    assert_eq!(second.event, first.event);
    stage.step(&second, 0, None).await;
    let attempts: Vec<_> =
        stage.state.steps(first.fence.execution).await.unwrap().iter().map(|step| step.attempt).collect();
    assert_eq!(attempts, [1, 2]);
}

/// Each end but a cancelled one keeps the event with its history, and is published.
pub async fn an_end_without_success_becomes_a_dead_letter_and_is_told_of(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    for status in [ExecutionStatus::Failed, ExecutionStatus::TimedOut, ExecutionStatus::Dead] {
        let started = stage.clock.now();
        let first = stage.running(&support, &here).await;
        stage.clock.advance(secs(1));
        stage.finish(&first, retry(secs(0))).await;
        let claimed = stage.claim_one(&support, &here).await;
        stage.finish(&claimed, ended(status)).await;

        let id = claimed.fence.execution;
        let shown = stage.shown(id).await;
        assert_eq!((shown.status, shown.error, shown.finished_at), (status, Some(failure()), Some(stage.clock.now())));
        let letters = stage.state.dead_letters(DeadLetterFilter::default(), PageRequest::default()).await.unwrap();
        let letter = &letters.items[0];
        assert_eq!((letter.execution_id, letter.agent.as_ref(), letter.attempts), (Some(id), Some(&support), 2));
        assert_eq!((&letter.reason, letter.trace_id), (&failure(), Some(claimed.event.trace_id)));
        assert_eq!((letter.queue.as_str(), letter.node.as_ref()), ("agent.input.support", Some(&here)));
        assert_eq!((letter.first_at, letter.dead_at), (started, stage.clock.now()));
        assert_eq!(letter.event.as_ref().unwrap()["event_id"], json!(claimed.event.event_id));

        let due = stage.due().await;
        let [row] = &due[..] else { panic!("{due:?}") };
        let told = event_of(row);
        assert_eq!((told.event_type.as_str(), told.source.as_str()), ("greenroom.dead.support", "node"));
        assert_eq!(told.trace_id, claimed.event.trace_id);
        let payload = json!({ "agent": "support", "execution_id": id, "reason": failure(), "attempts": 2 });
        assert_eq!(told.payload, payload);
        stage.settle(&due, OutboxOutcome::Published).await;
    }
    let cancelled = stage.running(&support, &here).await;
    stage.finish(&cancelled, ended(ExecutionStatus::Cancelled)).await;
    let letters = stage.state.dead_letters(DeadLetterFilter::default(), PageRequest::default()).await.unwrap();
    assert_eq!(letters.items.len(), 3);
    assert!(stage.due().await.is_empty());

    let running = stage.running(&support, &here).await;
    let refused = stage.state.finish(running.fence, end(ended(ExecutionStatus::Running))).await;
    assert!(matches!(refused, Err(Error::Conflict { .. })));
}

/// A checkpoint that does not fit takes everything else with it: the execution goes on as if nothing had been said.
pub async fn a_finish_is_all_or_nothing(stage: Stage) {
    let talk = agent("talk");
    let claimed = stage.running(&talk, &node("here")).await;
    stage.state.journal(claimed.fence, None, Some(call(&claimed, 0))).await.unwrap();
    let checkpoint = NewCheckpoint {
        key: CheckpointKey { agent: talk.clone(), conversation: String::new() },
        replaces: 3,
        data: json!({}),
        append: vec![Message::text(Role::User, "hi")],
    };
    let told = Outgoing::Event { event: fact("agent.output.talk"), mandatory: false };
    let finish = Finish {
        conclusion: succeeded(),
        settle: Some(outcome(&claimed, 0, Some(MicroUsd(1)))),
        checkpoint: Some(checkpoint.clone()),
        outbox: vec![told],
        call: None,
        remembers: vec![Remember { key: "city".to_owned(), text: Some("Oslo".to_owned()) }],
        plan_run: None,
    };
    let refused = stage.state.finish(claimed.fence, finish.clone()).await;
    assert!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");
    let shown = stage.shown(claimed.fence.execution).await;
    assert_eq!((shown.status, shown.output, shown.cost), (ExecutionStatus::Running, None, None));
    assert_eq!(shown.steps.unwrap()[0].status, StepStatus::Intended);
    assert!(stage.due().await.is_empty());
    assert_eq!(stage.spent(&talk, stage.clock.now()).await.calls, 0);
    assert!(stage.state.memories(&talk, 9).await.unwrap().is_empty());

    let fitting = Finish { checkpoint: Some(NewCheckpoint { replaces: 0, ..checkpoint }), ..finish };
    stage.state.finish(claimed.fence, fitting).await.unwrap();
    assert_eq!(stage.due().await.len(), 1);
    assert_eq!(stage.state.memories(&talk, 9).await.unwrap()[0].text, "Oslo");
}

/// Events under their topics in the order given, each once; a command to an agent is shown as its queued execution.
pub async fn a_finish_sends_what_it_leaves_behind(stage: Stage) {
    let (support, sales) = (agent("support"), agent("sales"));
    let claimed = stage.running(&support, &node("here")).await;
    let result = fact("agent.output.support");
    let order = event_for(&sales, json!("sell"));
    let outbox = vec![
        Outgoing::Event { event: result.clone(), mandatory: false },
        Outgoing::Event { event: order.clone(), mandatory: true },
        Outgoing::Event { event: result.clone(), mandatory: false },
    ];
    stage.state.finish(claimed.fence, Finish { outbox, ..end(succeeded()) }).await.unwrap();
    let due = stage.due().await;
    assert_eq!(due.iter().map(event_of).collect::<Vec<_>>(), [&result, &order]);
    assert!(matches!(due[1].outgoing, Outgoing::Event { mandatory: true, .. }));
    let promised = stage.shown(ExecutionId::of(&sales, order.event_id)).await;
    assert_eq!((promised.status, promised.agent), (ExecutionStatus::Queued, sales.clone()));
    stage.settle(&due, OutboxOutcome::Published).await;
    assert!(!stage.has_pending(result.trace_id).await && stage.has_pending(order.trace_id).await);
    stage.arrive(&sales, order.clone()).await;
    assert!(!stage.has_pending(order.trace_id).await);
}

/// What is leased with the end is nobody else's to send. A reply waits its turn, and what waits already has no second row.
pub async fn what_a_finish_leases_is_no_other_relays(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let result = fact("agent.output.support");
    let reply = || Outgoing::Reply {
        to: ReplyTo::Topic { topic: "answers".to_owned() },
        text: "done".to_owned(),
        is_error: false,
        card: None,
        trace_id: result.trace_id,
    };
    let sent = || vec![Outgoing::Event { event: result.clone(), mandatory: false }, reply()];
    let leave = async || {
        let claimed = stage.running(&support, &here).await;
        let finish = Finish { outbox: sent(), ..end(succeeded()) };
        stage.state.finish_leased(claimed.fence, finish, &here).await.unwrap()
    };
    let first = leave().await;
    assert!(first.len() == 2 && first[1].is_none(), "{first:?}");
    let again = leave().await;
    assert_eq!(again, [None, None], "a second row for an event that waits");
    let due = stage.due().await;
    let leased = first.iter().flatten().count();
    assert_eq!(due.len(), 2 - leased, "{due:?}");
    assert!(due.iter().all(|row| first[0] != Some(row.id)));
    if let Some(id) = first[0] {
        stage.state.settle_outbox(vec![(id, OutboxOutcome::Published)]).await.unwrap();
        stage.settle(&due, OutboxOutcome::Delivered).await;
        assert_eq!(stage.state.pending(result.trace_id).await.unwrap().len(), 1, "the second reply is left");
    }
}
