//! Answers on their way to a Slack that refuses, fails, is silent, or has forgotten the address: each arrives once, and in
//! order, on both backends.

use std::time::Duration;

use kit::{model::Reply, node::Node, slack::Slack, wait};

use crate::{
    cast::agent,
    stand::{Stand, on_both},
};

on_both! {
    every_answer_arrives_once_and_in_order_whatever_slack_does
    what_waits_for_slack_outlives_the_node
    a_silent_slack_is_asked_again
    an_answer_that_fits_into_no_messages_is_a_file
}

/// A silent Slack costs its time-out; then waits follow.
const WHILE: Duration = wait::PATIENCE;

async fn asked(slack: &Slack, stand: &Stand) -> Node {
    // One conversation in order, so that the answers have an order.
    let yaml = agent("clerk", &stand.model, "subscriptions: [slack.events.command.clerk]");
    stand.home.agent("clerk", &yaml.replace("autonomous", "continuous"));
    stand.model.rule(|asked| Reply::text(format!("to {}", asked.question())));
    launch(slack, stand).await
}

async fn launch(slack: &Slack, stand: &Stand) -> Node {
    stand.launch().env("GREENROOM_NODE", "only").envs(slack.environment()).start().await
}

async fn every_answer_arrives_once_and_in_order_whatever_slack_does(stand: Stand) {
    let slack = Slack::start().await;
    let node = asked(&slack, &stand).await;
    slack.refuse_next(429, &[("retry-after", "1")]);
    slack.refuse_next(500, &[]);
    slack.refuse_next(429, &[("retry-after", "2")]);
    slack.refuse_next(503, &[]);
    // The address is spent: the channel is the other way.
    slack.refuse_next(404, &[]);
    for number in 0..6 {
        slack.command(&node, "/clerk", &format!("question {number}")).await.answer.expect(200);
    }
    let texts = wait::seen("all answers to be in Slack", WHILE, async || {
        let texts: Vec<String> = slack.received().iter().map(|post| post.text()).collect();
        if texts.len() >= 6 { Ok(texts) } else { Err(format!("{texts:?}, {} refused", slack.refused())) }
    })
    .await;
    let wanted: Vec<String> = (0..6).map(|number| format!("to question {number}")).collect();
    assert_eq!(texts, wanted);
    assert_eq!(slack.refused(), 5);
    let paths: Vec<bool> = slack.received().iter().map(|post| post.path == "/api/chat.postMessage").collect();
    assert_eq!(paths.iter().filter(|channel| **channel).count(), 1, "only the one whose address was spent");
    assert!(node.stop().await.success());
    assert_eq!(slack.received().len(), 6, "nothing came twice");
}

async fn what_waits_for_slack_outlives_the_node(stand: Stand) {
    let slack = Slack::start().await;
    let node = asked(&slack, &stand).await;
    slack.refuse_next(429, &[("retry-after", "3")]);
    for number in 0..3 {
        slack.command(&node, "/clerk", &format!("question {number}")).await.answer.expect(200);
    }
    wait::seen(
        "Slack to have refused",
        WHILE,
        async || {
            if slack.refused() == 1 { Ok(()) } else { Err(slack.received().len()) }
        },
    )
    .await;
    node.kill9().await;
    let node = launch(&slack, &stand).await;
    let texts = wait::seen("all answers to be in Slack", WHILE, async || {
        let texts: Vec<String> = slack.received().iter().map(|post| post.text()).collect();
        if texts.len() >= 3 { Ok(texts) } else { Err(format!("{texts:?}")) }
    })
    .await;
    assert_eq!(texts, ["to question 0", "to question 1", "to question 2"]);
    assert!(node.stop().await.success());
    assert_eq!(slack.received().len(), 3);
}

async fn a_silent_slack_is_asked_again(stand: Stand) {
    let slack = Slack::start().await;
    let node = asked(&slack, &stand).await;
    slack.ignore_next();
    slack.command(&node, "/clerk", "question").await.answer.expect(200);
    assert_eq!(slack.reply(1, WHILE).await.text(), "to question");
    assert_eq!(slack.refused(), 1);
    assert!(node.stop().await.success());
    assert_eq!(slack.received().len(), 1);
}

async fn an_answer_that_fits_into_no_messages_is_a_file(stand: Stand) {
    let slack = Slack::start().await;
    let node = asked(&slack, &stand).await;
    let long: String = (0..12_000).map(|n| format!("line {n}\n")).collect();
    stand.model.then(Reply::text(&long));
    slack.refuse_next(429, &[("retry-after", "1")]);
    slack.command(&node, "/clerk", "all of it").await.answer.expect(200);
    slack.command(&node, "/clerk", "and then").await.answer.expect(200);
    assert_eq!(slack.reply(2, WHILE).await.text(), "to and then", "in order");
    let shared = slack.reply(1, WHILE).await;
    assert_eq!((shared.path.as_str(), slack.refused()), ("/api/files.completeUploadExternal", 1));
    assert_eq!((&shared.body["channel_id"], &shared.body["thread_ts"]), (&"C1".into(), &serde_json::Value::Null));
    let comment = shared.body["initial_comment"].as_str().unwrap_or_default();
    assert!(comment.starts_with("line 0\nline 1\n") && comment.contains("in the file"), "{comment}");
    let files: serde_json::Value =
        serde_json::from_str(shared.body["files"].as_str().unwrap_or_default()).unwrap_or_default();
    let content = slack.file(files[0]["id"].as_str().unwrap_or_default()).unwrap_or_default();
    assert!(content.trim_end() == long.trim_end(), "the file has {} of {} bytes", content.len(), long.len());
    assert!(node.stop().await.success());
    assert_eq!(slack.received().len(), 2, "nothing came twice");
}
