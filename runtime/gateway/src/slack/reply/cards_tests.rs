//! The messages that show a question.

use std::sync::Arc;

use greenroom_contract::{
    clarification::{Card, Clarification},
    port::reply::{Error, Replies, Reply},
    status::ClarificationStatus,
};
use serde_json::json;

use crate::testing::{FakeSlack, FakeState, question, question_id};

const TOKEN: Option<&str> = Some("xoxb-1");

fn card(slack: &FakeSlack) -> Reply {
    Reply { card: Some(question_id()), ..slack.reply("Ship it? Answer with `greenroom answer`") }
}

fn holding(asked: Clarification) -> Arc<FakeState> {
    let state = FakeState::default();
    *state.question.lock().unwrap() = Some(asked);
    Arc::new(state)
}

fn open() -> Clarification {
    question(question_id())
}

fn answered() -> Clarification {
    let cards = ["1.1", "2.2"].map(|ts| Card { channel_id: "C1".into(), ts: ts.into() });
    Clarification {
        status: ClarificationStatus::Answered,
        answer: Some(json!("yes")),
        answered_by: Some("ann".into()),
        cards: cards.into(),
        ..open()
    }
}

#[tokio::test]
async fn a_question_is_posted_once_and_where_it_stands_is_written_down() {
    let slack = FakeSlack::start(&[(200, "", r#"{"ok":true,"channel":"C9","ts":"17.2"}"#)]).await;
    let state = holding(open());
    let replies = slack.replies_with(TOKEN, Arc::clone(&state));
    replies.send(card(&slack)).await.unwrap();
    replies.send(card(&slack)).await.unwrap();
    assert_eq!(slack.paths(), ["/api/chat.postMessage"], "the channel comes first: there it can be changed");
    let body = slack.body(0);
    assert_eq!((&body["channel"], &body["thread_ts"]), (&json!("C1"), &json!("17.1")));
    assert!(body["blocks"].to_string().contains(&format!("{}:0", question_id())));
    let noted = state.question.lock().unwrap().clone().unwrap().cards;
    assert_eq!(noted, [Card { channel_id: "C9".into(), ts: "17.2".into() }], "as Slack names it");
}

#[tokio::test]
async fn every_message_of_a_question_shows_its_end() {
    let slack = FakeSlack::start(&[]).await;
    slack.replies_with(TOKEN, holding(answered())).send(card(&slack)).await.unwrap();
    assert_eq!(slack.paths(), ["/api/chat.update", "/api/chat.update"]);
    assert_eq!((&slack.body(0)["ts"], &slack.body(1)["ts"]), (&json!("1.1"), &json!("2.2")));
    let blocks = slack.body(0)["blocks"].to_string();
    assert!(!blocks.contains("button") && blocks.contains("*yes* · answered by ann"), "{blocks}");
}

#[tokio::test]
async fn a_question_that_ended_before_it_was_shown_is_not_shown() {
    let slack = FakeSlack::start(&[]).await;
    let asked = Clarification { cards: vec![], ..answered() };
    slack.replies_with(TOKEN, holding(asked)).send(card(&slack)).await.unwrap();
    assert!(slack.paths().is_empty());
}

#[tokio::test]
async fn a_message_that_is_gone_is_no_trouble_and_a_limit_is_kept_to() {
    let gone = (200, "", r#"{"ok":false,"error":"message_not_found"}"#);
    let slack = FakeSlack::start(&[gone, (429, "9", "")]).await;
    let error = slack.replies_with(TOKEN, holding(answered())).send(card(&slack)).await.unwrap_err();
    assert!(matches!(error, Error::Retry { retry_after: Some(_), .. }), "{error}");
    assert_eq!(slack.paths().len(), 2);
}

#[tokio::test]
async fn without_a_channel_of_ours_a_question_goes_by_its_response_url() {
    let slack = FakeSlack::start(&[]).await;
    slack.replies_with(None, holding(open())).send(card(&slack)).await.unwrap();
    assert_eq!(slack.paths(), ["/response"]);
    assert!(slack.body(0)["blocks"].to_string().contains("button"));

    let outside = (200, "", r#"{"ok":false,"error":"not_in_channel"}"#);
    let slack = FakeSlack::start(&[outside]).await;
    slack.replies_with(TOKEN, holding(open())).send(card(&slack)).await.unwrap();
    assert_eq!(slack.paths(), ["/api/chat.postMessage", "/response"]);
}

#[tokio::test]
async fn a_question_whose_blocks_are_refused_is_told_as_a_text() {
    let refused = (200, "", r#"{"ok":false,"error":"invalid_blocks"}"#);
    let slack = FakeSlack::start(&[refused]).await;
    slack.replies_with(TOKEN, holding(open())).send(card(&slack)).await.unwrap();
    assert_eq!(slack.paths(), ["/api/chat.postMessage", "/response"]);
    assert!(slack.body(1)["text"].as_str().unwrap().contains("greenroom answer"));
}
