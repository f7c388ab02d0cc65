//! Socket Mode: a node that Slack cannot reach opens the connection itself, and everything is as it is by HTTP.

use kit::{
    model::Reply,
    node::{Launch, Node},
    slack::{Slack, Sockets},
    wait,
};
use serde_json::json;

use crate::{
    cast::{SOON, agent},
    stand::{Stand, on_both},
};

const TS: &str = "1700000000.000900";

on_both! {
    a_conversation_goes_by_the_socket_alone
}

struct Laptop {
    stand: Stand,
    slack: Slack,
    sockets: Sockets,
    environment: Vec<(String, String)>,
}

impl Laptop {
    async fn new(stand: Stand) -> Self {
        let slack = Slack::start().await;
        let (environment, sockets) = slack.sockets().await;
        let hears =
            "subscriptions: [slack.events.app_mention.*, slack.events.command.clerk]\ntools: [{builtin: ask_human}]";
        stand.home.agent("clerk", &agent("clerk", &stand.model, hears));
        stand.model.rule(|asked| match (asked.turn(), asked.question().contains("ship")) {
            (0, true) => Reply::tool("ask_human", json!({ "question": "Ship it?", "options": ["Ship", "Wait"] })),
            (0, false) => Reply::text(format!("to {}", asked.question())),
            _ => Reply::text(format!("Done: {}", asked.tool_results().join(", "))),
        });
        Self { stand, slack, sockets, environment }
    }

    fn launch(&self) -> Launch<'_> {
        let trap = self.stand.home.path().join("trap").display().to_string();
        let launch = self.stand.launch().envs(self.environment.clone());
        launch.env("GREENROOM_NODE", "only").env("GREENROOM_CRASH_FILE", trap)
    }

    /// Starts the node; its connection will be the `n`-th.
    async fn start(&self, n: usize) -> Node {
        let node = self.launch().start().await;
        self.sockets.line(n, SOON).await;
        node
    }

    fn mention(&self, line: usize, envelope: &str, text: &str, ts: &str) {
        let payload = self.slack.mention_payload(&format!("<@UBOT> {text}"), ts, &format!("Ev{ts}"));
        self.sockets.send(line, "events_api", envelope, payload);
    }

    /// What was said in all, in any order.
    fn answers(&self) -> Vec<String> {
        let mut texts: Vec<String> = self.slack.received().iter().map(|post| post.text()).collect();
        texts.sort();
        texts
    }
}

async fn a_conversation_goes_by_the_socket_alone(stand: Stand) {
    let laptop = Laptop::new(stand).await;
    let (slack, sockets) = (&laptop.slack, &laptop.sockets);
    let node = laptop.start(1).await;
    assert_eq!(slack.command(&node, "/clerk", "hi").await.answer.status, 503, "the HTTP door is shut");

    laptop.mention(1, "e1", "ship it", TS);
    assert_eq!(sockets.acknowledgement(1, "e1", SOON).await, json!({"envelope_id": "e1"}));
    let card = slack.reply(1, SOON).await;
    assert_eq!((card.body["thread_ts"].as_str(), card.buttons().len()), (Some(TS), 2));
    // Slack sends twice now and then, under another id or the same.
    for envelope in ["e1", "e2"] {
        laptop.mention(1, envelope, "ship it", TS);
    }
    sockets.acknowledgement(1, "e2", SOON).await;

    let (click, path) = slack.press_payload("U2", 1, &card.buttons()[0]);
    sockets.send(1, "interactive", "e3", click);
    sockets.acknowledgement(1, "e3", SOON).await;
    assert_eq!(slack.told(&path, SOON).await["text"], "Only <@U1> may answer this.");
    let (click, _) = slack.press_payload("U1", 1, &card.buttons()[0]);
    sockets.send(1, "interactive", "e4", click);
    sockets.acknowledgement(1, "e4", SOON).await;
    wait::seen("the answer", SOON, async || {
        let answers = laptop.answers();
        if answers.contains(&"Done: Ship".to_owned()) { Ok(()) } else { Err(answers.join(", ")) }
    })
    .await;

    let (command, path) = slack.command_payload("/clerk", "hello");
    sockets.send(1, "slash_commands", "e5", command);
    assert_eq!(sockets.acknowledgement(1, "e5", SOON).await, json!({"envelope_id": "e5"}));
    wait::seen("the command's answer", SOON, async || {
        let answered = slack.received().into_iter().any(|post| post.path == path && post.text() == "to hello");
        if answered { Ok(()) } else { Err(format!("{:#?}", slack.received())) }
    })
    .await;
    assert_eq!(node.executions("clerk").await.len(), 2, "a mention and a command");
    assert!(node.stop().await.success());
    wait::seen("the node to hang up", SOON, async || if sockets.is_open(1) { Err("it is open") } else { Ok(()) }).await;
    assert_eq!(sockets.opened(), 1);
}

#[tokio::test]
async fn nothing_is_acknowledged_before_it_is_durable() {
    let laptop = Laptop::new(Stand::embedded().await).await;
    let trap = laptop.stand.home.path().join("trap");
    // Killed before it is written down, and after: Slack sends again what nobody acknowledged, and it is done once.
    for (n, place) in [(1, "before door 1 slack"), (3, "after door 1 slack")] {
        let mut node = laptop.start(n).await;
        std::fs::write(&trap, place).unwrap_or_else(|error| panic!("{error}"));
        let ts = format!("17000000{n}.000100");
        laptop.mention(n, "e1", &format!("question {n}"), &ts);
        assert!(!node.process.exit(SOON).await.success(), "{place}");
        assert!(laptop.sockets.acknowledged(n).is_empty(), "{place}");
        drop(node);
        std::fs::remove_file(&trap).unwrap_or_else(|error| panic!("{error}"));
        let node = laptop.start(n + 1).await;
        laptop.mention(n + 1, "e1", &format!("question {n}"), &ts);
        laptop.sockets.acknowledgement(n + 1, "e1", SOON).await;
        wait::seen("the answer", SOON, async || {
            let answers = laptop.answers();
            if answers.contains(&format!("to question {n}")) { Ok(()) } else { Err(answers.join(", ")) }
        })
        .await;
        assert!(node.stop().await.success(), "{place}");
    }
    assert_eq!(laptop.answers(), ["to question 1", "to question 3"]);
}

#[tokio::test]
async fn a_connection_is_followed_by_another_and_nothing_is_lost_between() {
    let laptop = Laptop::new(Stand::embedded().await).await;
    let sockets = &laptop.sockets;
    // Slack has none to give at first, and says when to ask again.
    laptop.slack.give_no_socket(1);
    let node = laptop.start(1).await;
    laptop.mention(1, "e1", "one", "1700000001.000100");
    sockets.acknowledgement(1, "e1", SOON).await;

    // Slack wants it replaced: the next one is there before the last one goes, and both are heard.
    sockets.refresh(1);
    sockets.line(2, SOON).await;
    assert!(sockets.is_open(1), "two side by side");
    for (line, envelope, text, ts) in [
        (1, "e2", "two", "1700000002.000100"),
        (2, "e3", "three", "1700000003.000100"),
        (2, "e4", "two", "1700000002.000100"),
    ] {
        laptop.mention(line, envelope, text, ts);
        sockets.acknowledgement(line, envelope, SOON).await;
    }

    // It breaks without a word.
    sockets.cut(2);
    sockets.line(3, SOON).await;
    laptop.mention(3, "e5", "four", "1700000004.000100");
    sockets.acknowledgement(3, "e5", SOON).await;
    let wanted = ["to four", "to one", "to three", "to two"];
    wait::seen("all answers", SOON, async || {
        let answers = laptop.answers();
        if answers.len() >= wanted.len() { Ok(()) } else { Err(answers.join(", ")) }
    })
    .await;
    assert_eq!(laptop.answers(), wanted, "each once");
    wait::seen(
        "the first to be let go",
        SOON * 3,
        async || {
            if sockets.is_open(1) { Err("it is open") } else { Ok(()) }
        },
    )
    .await;
    assert!(sockets.is_open(3));
    assert!(node.stop().await.success());
    assert_eq!(laptop.answers(), wanted, "each once");
}
