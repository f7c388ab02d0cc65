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
