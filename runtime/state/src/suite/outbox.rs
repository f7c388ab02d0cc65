//! The outbox: which rows a relay gets, and when.

use greenroom_contract::{
    ReplyTo, TraceId,
    event::SlackReply,
    port::state::{Finish, OutboxOutcome, OutboxRow, Outgoing, Submission, Wanted},
};
use serde_json::json;

use super::{
    Stage,
    stage::{agent, end, event_for, event_of, node, secs, succeeded},
};

/// In order of their writing, and while one relay has a row no other gets it.
pub async fn rows_come_oldest_first_and_to_one_relay(stage: Stage) {
    let support = agent("support");
    let mut submitted = Vec::new();
    for n in 0..5 {
        submitted.push(stage.submit(&support, json!(n)).await.event.event_id);
    }
    let (a, b) = (node("a"), node("b"));
    let claims = async |node, limit| stage.state.claim_outbox(node, Wanted::Events(limit), true).await;
    let (one, two) = tokio::join!(claims(&a, 2), claims(&b, 10));
    let ids = |rows: &[OutboxRow]| rows.iter().map(|row| event_of(row).event_id).collect::<Vec<_>>();
    let (one, two) = (ids(&one.unwrap()), ids(&two.unwrap()));
    assert_eq!((&one[..], &two[..]), (&submitted[..2], &submitted[2..]));
    assert!(stage.due().await.is_empty());
}

/// When the lease runs out, when its node's lease has run out, and at once when its node starts again.
pub async fn a_dead_relays_rows_come_free(stage: Stage) {
    let (support, a, b) = (agent("support"), node("a"), node("b"));
    stage.submit(&support, json!(1)).await;
    let claims = async |node| stage.state.claim_outbox(node, Wanted::Events(10), true).await.unwrap().len();

    stage.state.heartbeat(&a, secs(4)).await.unwrap();
    assert_eq!(claims(&a).await, 1);
    stage.clock.advance(secs(3));
    assert_eq!(claims(&b).await, 0, "taken from a node that lives");
    stage.clock.advance(secs(2));
    assert_eq!(claims(&b).await, 1, "its node is dead");

    stage.state.take_back(&b).await.unwrap();
    assert_eq!(claims(&b).await, 1, "its node has started again");
    stage.clock.advance(secs(60));
    assert_eq!(claims(&b).await, 1, "its lease has run out");
}

/// A caller may never hear of the row that was leased with its submission: it is nobody's for a few seconds only.
pub async fn a_row_that_nobody_hands_over_comes_free_soon(stage: Stage) {
    let support = agent("support");
    let submission = Submission { event: event_for(&support, json!(1)), agent: Some(support.clone()) };
    let leased = stage.state.submit_leased(submission, &node("a")).await.unwrap().1.is_some();
    assert_eq!(stage.due().await.len(), usize::from(!leased));
    stage.clock.advance(secs(6));
    assert_eq!(stage.due().await.len(), usize::from(leased));
}

/// Every lease runs out meanwhile: who has just come back takes nobody's rows, and is given none that it has in hand.
pub async fn a_store_that_was_away_hands_leased_rows_to_nobody(stage: Stage) {
    let (support, a, b) = (agent("support"), node("a"), node("b"));
    stage.submit(&support, json!(1)).await;
    let claims = async |node, lost| stage.state.claim_outbox(node, Wanted::Events(10), lost).await.unwrap().len();
    for node in [&a, &b] {
        stage.state.heartbeat(node, secs(4)).await.unwrap();
    }
    assert_eq!(claims(&a, false).await, 1);
    stage.clock.advance(secs(20));
    assert_eq!(claims(&b, false).await, 0, "taken without being asked for");
    for lost in [false, true] {
        assert_eq!(claims(&a, lost).await, 0, "its own row is in its hand");
    }
    stage.clock.advance(secs(11));
    assert_eq!(claims(&b, false).await, 0, "the row's lease is over, and it is still another's");
    assert_eq!(claims(&a, false).await, 1, "its own lease of it has run out");
}

/// Not before; with its attempts counted.
pub async fn a_row_that_failed_is_due_again_after_its_wait(stage: Stage) {
    let event = stage.submit(&agent("support"), json!(1)).await.event;
    let reason = "no queue is bound".to_owned();
    stage.settle(&stage.due().await, OutboxOutcome::Retry { after: secs(10), reason }).await;
    assert_eq!(stage.state.pending(event.trace_id).await.unwrap()[0].last_error.as_deref(), Some("no queue is bound"));
    stage.clock.advance(secs(9));
    assert!(stage.due().await.is_empty());
    stage.clock.advance(secs(1));
    assert_eq!(stage.due().await[0].attempts, 1);
}

/// One that has failed holds up those after it under its topic and nobody else's; it goes first, alone, and the next that has
/// failed after it.
pub async fn events_of_a_topic_keep_their_order_when_some_fail(stage: Stage) {
    let (support, sales) = (agent("support"), agent("sales"));
    for number in 1..=3 {
        stage.submit(&support, json!(number)).await;
    }
    stage.submit(&sales, json!(4)).await;
    let sent = async |stage: &Stage| {
        let rows = stage.due().await;
        let said: Vec<i64> = rows.iter().filter_map(|row| event_of(row).payload.as_i64()).collect();
        (rows, said)
    };
    let (rows, said) = sent(&stage).await;
    assert_eq!(said, [1, 2, 3, 4]);
    let failed = |after| OutboxOutcome::Retry { after: secs(after), reason: "the bus is away".to_owned() };
    stage.settle(&rows[..1], failed(9)).await;
    stage.settle(&rows[1..2], failed(1)).await;
    stage.submit(&support, json!(5)).await;
    stage.submit(&sales, json!(6)).await;
    stage.clock.advance(secs(5));
    assert_eq!(sent(&stage).await.1, [6], "the first one is not due yet");
    stage.clock.advance(secs(4));
    let (rows, said) = sent(&stage).await;
    assert_eq!(said, [1]);
    assert_eq!(sent(&stage).await.1, [0_i64; 0], "while it is on its way nothing else goes");
    stage.settle(&rows, OutboxOutcome::Published).await;
    let (rows, said) = sent(&stage).await;
    assert_eq!(said, [2]);
    stage.settle(&rows, OutboxOutcome::Published).await;
    assert_eq!(sent(&stage).await.1, [5]);
}

/// What is written behind others is not in its relay's hands at once, and is that relay's all the same, as long as it lives.
pub async fn what_is_written_behind_others_goes_by_its_writers_relay(stage: Stage) {
    let (support, a, b) = (agent("support"), node("a"), node("b"));
    let submit = async |node, number: i64| {
        let event = event_for(&support, json!(number));
        let submission = Submission { event, agent: Some(support.clone()) };
        stage.state.submit_leased(submission, node).await.unwrap().1.is_some()
    };
    let claim = async |node| stage.state.claim_outbox(node, Wanted::Events(10), true).await.unwrap();
    for node in [&a, &b] {
        stage.state.heartbeat(node, secs(4)).await.unwrap();
    }
    stage.submit(&support, json!(1)).await;
    assert!(!submit(&a, 2).await, "one waits before it");
    let first = claim(&b).await;
    assert_eq!(first.len(), 1, "the second is another relay's");
    stage.settle(&first, OutboxOutcome::Retry { after: secs(1), reason: "the bus is away".to_owned() }).await;
    assert!(claim(&a).await.is_empty() && !submit(&a, 3).await);
    stage.clock.advance(secs(1));
    let first = claim(&b).await;
    stage.settle(&first, OutboxOutcome::Retry { after: secs(30), reason: "the bus is away".to_owned() }).await;
    // At once where the bus is there again, as if it had failed once.
    stage.state.redrive_outbox().await.unwrap();
    let first = claim(&b).await;
    assert_eq!((first.len(), first[0].attempts), (1, 1));
    stage.settle(&first, OutboxOutcome::Published).await;
    assert!(claim(&b).await.is_empty());
    let rest: Vec<_> = claim(&a).await.iter().map(|row| event_of(row).payload.clone()).collect();
    assert_eq!(rest, [json!(2), json!(3)]);
    stage.clock.advance(secs(5));
    stage.state.heartbeat(&b, secs(4)).await.unwrap();
    assert_eq!(claim(&b).await.len(), 2, "their relay is dead");
}

/// A later reply waits for the earlier one, also through its retries; other addresses do not wait.
pub async fn replies_to_one_address_keep_their_order(stage: Stage) {
    let claimed = stage.running(&agent("support"), &node("a")).await;
    let to = |channel: &str| {
        let channel_id = Some(channel.to_owned());
        ReplyTo::Slack(SlackReply { channel_id, ..SlackReply::default() })
    };
    let reply = |channel, text: &str| Outgoing::Reply {
        to: to(channel),
        text: text.to_owned(),
        is_error: false,
        card: None,
        trace_id: TraceId::new(),
    };
    let outbox = vec![reply("C1", "first"), reply("C1", "second"), reply("C2", "elsewhere")];
    stage.state.finish(claimed.fence, Finish { outbox, ..end(succeeded()) }).await.unwrap();

    // Nobody who wants events gets a reply, nor the other way round.
    stage.submit(&agent("support"), json!(1)).await;
    let claims = async |wanted| stage.state.claim_outbox(&node("relay"), wanted, true).await.unwrap();
    let events = claims(Wanted::Events(10)).await;
    assert_eq!((events.len(), texts(&events).len()), (1, 0));
    let rows = claims(Wanted::Replies(10)).await;
    assert_eq!(texts(&rows), ["first", "elsewhere"]);
    assert!(matches!(&rows[0].outgoing, Outgoing::Reply { to: address, .. } if *address == to("C1")));
    stage.settle(&rows[1..], OutboxOutcome::Delivered).await;
    let reason = "rate limited".to_owned();
    stage.settle(&rows[..1], OutboxOutcome::Retry { after: secs(5), reason }).await;
    assert!(stage.due().await.is_empty(), "the second reply overtook the first");
    stage.clock.advance(secs(5));
    let rows = stage.due().await;
    assert_eq!(texts(&rows), ["first"]);
    stage.settle(&rows, OutboxOutcome::Delivered).await;
    assert_eq!(texts(&stage.due().await), ["second"]);
}

fn texts(rows: &[OutboxRow]) -> Vec<&str> {
    rows.iter()
        .filter_map(|row| match &row.outgoing {
            Outgoing::Reply { text, .. } => Some(text.as_str()),
            Outgoing::Event { .. } => None,
        })
        .collect()
}

/// What of a workflow has not gone yet, and nothing of others'.
pub async fn pending_rows_of_a_workflow_are_shown(stage: Stage) {
    let support = agent("support");
    let event = stage.submit(&support, json!(1)).await.event;
    let other = stage.submit(&support, json!(2)).await.event;
    let rows = stage.state.pending(event.trace_id).await.unwrap();
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!((row.kind.as_str(), row.to.as_str()), ("event", "agent.input.support"));
    assert_eq!((row.published, row.attempts, &row.last_error), (false, 0, &None));
    stage.settle(&stage.due().await, OutboxOutcome::Published).await;
    assert!(stage.state.pending(event.trace_id).await.unwrap()[0].published);
    stage.arrive(&support, event.clone()).await;
    assert!(!stage.has_pending(event.trace_id).await && stage.has_pending(other.trace_id).await);
}
